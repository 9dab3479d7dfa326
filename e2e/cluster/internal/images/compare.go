package images

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path"
	"slices"
	"strings"
)

// entry is one file of an image; equal entries are equal files.
type entry struct {
	kind    string
	mode    int64
	owner   string
	link    string
	content string
}

// largestPart bounds a manifest or a configuration, in bytes.
const largestPart = 4 << 20

// Compare says how the content and the configuration of two image archives differ, one line for each difference; none if they are
// equal. Of the files named in built only kind, mode and owner are compared: two builds of a program may differ in their bytes.
//
// Times are not compared. A working directory of / is none. Archives are those of Pack, `docker save`, `podman save` and `buildah push`.
func Compare(a, b string, built []string) ([]string, error) {
	x, err1 := open(a)
	y, err2 := open(b)
	if err := errors.Join(err1, err2); err != nil {
		return nil, err
	}
	var out []string
	for _, name := range slices.Sorted(maps.Keys(merged(x.files, y.files))) {
		l, r := x.files[name], y.files[name]
		if slices.Contains(built, name) && l.content != "" && r.content != "" {
			l.content, r.content = "", ""
		}
		switch {
		case l == r:
		case l.kind == "":
			out = append(out, fmt.Sprintf("%s: only in %s", name, b))
		case r.kind == "":
			out = append(out, fmt.Sprintf("%s: only in %s", name, a))
		default:
			out = append(out, fmt.Sprintf("%s: %s and %s", name, l, r))
		}
	}
	l, err1 := json.Marshal(x.config)
	r, err2 := json.Marshal(y.config)
	if !bytes.Equal(l, r) {
		out = append(out, fmt.Sprintf("configuration: %s and %s", l, r))
	}
	return out, errors.Join(err1, err2)
}

func (e entry) String() string {
	return strings.Join(strings.Fields(fmt.Sprintf("%s %04o %s %s %.12s", e.kind, e.mode, e.owner, e.link, e.content)), " ")
}

func merged(a, b map[string]entry) map[string]entry {
	all := maps.Clone(a)
	maps.Copy(all, b)
	return all
}

type image struct {
	config Configuration
	files  map[string]entry
}

// open reads an archive in the docker-archive form, twice: the list of its parts may stand at its end.
func open(archive string) (image, error) {
	fail := func(err error) (image, error) { return image{}, fmt.Errorf("image archive %s: %w", archive, err) }
	var manifest []struct {
		Config string
		Layers []string
	}
	if err := partOf(archive, "manifest.json", func(r io.Reader) error { return decode(r, &manifest) }); err != nil {
		return fail(err)
	}
	if len(manifest) != 1 {
		return fail(fmt.Errorf("it holds %d images, not one", len(manifest)))
	}
	var about struct{ Config Configuration }
	if err := partOf(archive, manifest[0].Config, func(r io.Reader) error { return decode(r, &about) }); err != nil {
		return fail(err)
	}
	if about.Config.WorkingDir == "/" {
		about.Config.WorkingDir = ""
	}
	out := image{about.Config, map[string]entry{}}
	for _, layer := range manifest[0].Layers {
		if err := partOf(archive, layer, out.addLayer); err != nil {
			return fail(fmt.Errorf("layer %s: %w", layer, err))
		}
	}
	return out, nil
}

func decode(r io.Reader, into any) error {
	data, err := io.ReadAll(io.LimitReader(r, largestPart))
	if err != nil {
		return err
	}
	return json.Unmarshal(data, into)
}

// partOf reads one part of an archive.
func partOf(archive, name string, read func(io.Reader) error) error {
	file, err := os.Open(archive)
	if err != nil {
		return err
	}
	defer file.Close()
	for parts := tar.NewReader(file); ; {
		h, err := parts.Next()
		if errors.Is(err, io.EOF) {
			return fmt.Errorf("it has no part %s", name)
		}
		if err != nil {
			return err
		}
		// Engines store a layer once and let others link to it.
		if path.Clean(h.Name) == path.Clean(name) {
			if h.Typeflag == tar.TypeSymlink {
				return partOf(archive, path.Join(path.Dir(h.Name), h.Linkname), read)
			}
			return read(parts)
		}
	}
}

// addLayer puts a layer over the files so far.
func (i image) addLayer(r io.Reader) error {
	head := make([]byte, 2)
	n, err := io.ReadFull(r, head)
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
		return err
	}
	r = io.MultiReader(bytes.NewReader(head[:n]), r)
	if bytes.Equal(head, []byte{0x1f, 0x8b}) {
		if r, err = gzip.NewReader(r); err != nil {
			return err
		}
	}
	for files := tar.NewReader(r); ; {
		h, err := files.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		name := path.Clean("/" + h.Name)[1:]
		if strings.HasPrefix(path.Base(name), ".wh.") {
			return fmt.Errorf("%s removes a file of another layer; that is not understood here", name)
		}
		if name == "" {
			continue
		}
		e := entry{mode: h.Mode & 0o7777, owner: fmt.Sprintf("%d:%d", h.Uid, h.Gid)}
		switch h.Typeflag {
		case tar.TypeDir:
			e.kind = "directory"
		case tar.TypeSymlink:
			// The mode of a link means nothing.
			e.kind, e.link, e.mode = "link", h.Linkname, 0
		case tar.TypeReg:
			digest := sha256.New()
			if _, err := io.Copy(digest, files); err != nil {
				return err
			}
			e.kind, e.content = "file", hex.EncodeToString(digest.Sum(nil))
		case tar.TypeLink:
			e = i.files[path.Clean("/" + h.Linkname)[1:]]
		default:
			e.kind = fmt.Sprintf("type %c", h.Typeflag)
		}
		i.files[name] = e
	}
}
