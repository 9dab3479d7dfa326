package images

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

func packed(t *testing.T, root, config string) string {
	t.Helper()
	out := filepath.Join(t.TempDir(), "x.tar")
	if err := Pack(root, "localhost/x:1", config, out); err != nil {
		t.Fatal(err)
	}
	return out
}

// engineArchive is an archive as engines write them: compressed layers, another order, links to parts, a file that a later layer replaces.
func engineArchive(t *testing.T, layers ...[]tar.Header) string {
	t.Helper()
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	add := func(h tar.Header, data []byte) {
		t.Helper()
		h.Size = int64(len(data))
		if err := w.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(data); err != nil {
			t.Fatal(err)
		}
	}
	var names []string
	for i, files := range layers {
		var layer bytes.Buffer
		z := gzip.NewWriter(&layer)
		inner := tar.NewWriter(z)
		for _, h := range files {
			data := []byte(h.Uname)
			h.Uname, h.ModTime = "", time.Unix(int64(i), 0)
			if h.Typeflag == tar.TypeReg {
				h.Size = int64(len(data))
			}
			if err := inner.WriteHeader(&h); err != nil {
				t.Fatal(err)
			}
			if h.Typeflag == tar.TypeReg {
				if _, err := inner.Write(data); err != nil {
					t.Fatal(err)
				}
			}
		}
		if err := errors.Join(inner.Close(), z.Close()); err != nil {
			t.Fatal(err)
		}
		name := string(rune('a'+i)) + ".tar"
		add(tar.Header{Name: name, Mode: 0o644, Typeflag: tar.TypeReg}, layer.Bytes())
		add(tar.Header{Name: "v" + name + "/layer.tar", Mode: 0o644, Typeflag: tar.TypeSymlink, Linkname: "../" + name}, nil)
		names = append(names, `"v`+name+`/layer.tar"`)
	}
	add(tar.Header{Name: "c.json", Mode: 0o644, Typeflag: tar.TypeReg}, []byte(`{"config":{"User":"65532","WorkingDir":"/","Labels":{"built":"here"}}}`))
	add(tar.Header{Name: "manifest.json", Mode: 0o644, Typeflag: tar.TypeReg}, []byte(`[{"Config":"c.json","Layers":[`+strings.Join(names, ",")+`]}]`))
	path := filepath.Join(t.TempDir(), "engine.tar")
	if err := errors.Join(w.Close(), os.WriteFile(path, out.Bytes(), 0o644)); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestAnEnginesArchiveOfTheSameContentIsEqual(t *testing.T) {
	file := func(name, data string, mode int64) tar.Header {
		return tar.Header{Name: name, Mode: mode, Typeflag: tar.TypeReg, Uname: data}
	}
	dir := func(name string, mode int64) tar.Header {
		return tar.Header{Name: name, Mode: mode, Typeflag: tar.TypeDir}
	}
	engine := engineArchive(t,
		[]tar.Header{dir("./", 0o755), dir("usr/", 0o755), dir("usr/bin", 0o755), file("./usr/bin/a", "older", 0o700), dir("tmp/", 0o1777)},
		[]tar.Header{file("usr/bin/a", "program", 0o755), file("/secret", "", 0o600), {Name: "usr/bin/b", Linkname: "a", Mode: 0o777, Typeflag: tar.TypeSymlink}})
	got, err := Compare(packed(t, tree(t), `{"User":"65532"}`), engine, nil)
	if err != nil || len(got) > 0 {
		t.Errorf("%q %v", got, err)
	}
}

func TestEveryDifferenceIsTold(t *testing.T) {
	one, other := tree(t), tree(t)
	if err := errors.Join(
		os.WriteFile(filepath.Join(other, "usr/bin/a"), []byte("another"), 0o755),
		os.Chmod(filepath.Join(other, "secret"), 0o644),
		os.Remove(filepath.Join(other, "usr/bin/b")),
		os.WriteFile(filepath.Join(other, "more"), nil, 0o644),
	); err != nil {
		t.Fatal(err)
	}
	a, b := packed(t, one, `{"User":"65532"}`), packed(t, other, `{"User":"0"}`)
	told := func(built ...string) (names []string) {
		t.Helper()
		differences, err := Compare(a, b, built)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range differences {
			name, _, _ := strings.Cut(d, ":")
			names = append(names, name)
		}
		return names
	}
	if got, want := told(), []string{"more", "secret", "usr/bin/a", "usr/bin/b", "configuration"}; !reflect.DeepEqual(got, want) {
		t.Errorf("%q", got)
	}
	// Another build of a program is no difference; that it is missing, or has another mode, is.
	if got, want := told("usr/bin/a", "usr/bin/b", "secret"), []string{"more", "secret", "usr/bin/b", "configuration"}; !reflect.DeepEqual(got, want) {
		t.Errorf("%q", got)
	}
}

func TestWhatIsNoImageArchiveIsNamed(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.tar")
	if err := os.WriteFile(path, make([]byte, 1024), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{path, "/nowhere.tar"} {
		if _, err := Compare(name, packed(t, tree(t), "{}"), nil); err == nil || !strings.Contains(err.Error(), name) {
			t.Error(err)
		}
	}
}
