// Package images makes image archives without a container engine, and loads them into the cluster's nodes.
package images

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"time"
)

// epoch is the time of every file in an archive: the same content gives the same bytes.
var epoch = time.Unix(0, 0).UTC()

// Pack writes a one-layer image archive (the docker-archive form that every engine loads) of a directory. config is the image's
// configuration as JSON: User, Env, Entrypoint, … Modes of files are kept, their owner is root. The archive appears whole or not at all.
func Pack(root, reference, config, out string) error {
	if !json.Valid([]byte(config)) || len(config) == 0 || config[0] != '{' {
		return fmt.Errorf("image configuration: not a JSON object: %s", config)
	}
	if info, err := os.Stat(root); err != nil || !info.IsDir() {
		return errors.Join(fmt.Errorf("root file system %s is not a directory", root), err)
	}
	layer, err := os.CreateTemp(filepath.Dir(out), ".layer-")
	if err != nil {
		return err
	}
	defer os.Remove(layer.Name())
	defer layer.Close()
	digest := sha256.New()
	if err := writeLayer(io.MultiWriter(layer, digest), root); err != nil {
		return fmt.Errorf("layer of %s: %w", root, err)
	}
	archive, err := os.CreateTemp(filepath.Dir(out), ".image-")
	if err != nil {
		return err
	}
	defer os.Remove(archive.Name())
	err = writeArchive(archive, layer, reference, config, hex.EncodeToString(digest.Sum(nil)))
	if err = errors.Join(err, archive.Chmod(0o644), archive.Close()); err != nil {
		return err
	}
	return os.Rename(archive.Name(), out)
}

func writeLayer(out io.Writer, root string) error {
	w := tar.NewWriter(out)
	// WalkDir goes in lexical order.
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || path == root {
			return err
		}
		name, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		return add(w, name, path, info)
	})
	return errors.Join(err, w.Close())
}

func add(w *tar.Writer, name, path string, info fs.FileInfo) error {
	target := ""
	switch {
	case info.Mode()&fs.ModeSymlink != 0:
		var err error
		if target, err = os.Readlink(path); err != nil {
			return err
		}
	case !info.IsDir() && !info.Mode().IsRegular():
		return fmt.Errorf("%s is neither a file, a directory nor a symbolic link", path)
	}
	header, err := tar.FileInfoHeader(info, target)
	if err != nil {
		return err
	}
	header.Name, header.ModTime = name, epoch
	if info.IsDir() {
		header.Name += "/"
	}
	header.Uid, header.Gid, header.Uname, header.Gname = 0, 0, "", ""
	header.AccessTime, header.ChangeTime, header.PAXRecords, header.Format = time.Time{}, time.Time{}, nil, tar.FormatGNU
	if err := w.WriteHeader(header); err != nil || !info.Mode().IsRegular() {
		return err
	}
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	_, err = io.Copy(w, file)
	return err
}

func writeArchive(out io.Writer, layer *os.File, reference, config, digest string) error {
	type object = map[string]any
	image, err := json.Marshal(object{
		"architecture": runtime.GOARCH, "os": "linux", "created": epoch, "config": json.RawMessage(config),
		"rootfs":  object{"type": "layers", "diff_ids": []string{"sha256:" + digest}},
		"history": []object{{"created": epoch}},
	})
	if err != nil {
		return err
	}
	sum := sha256.Sum256(image)
	name := hex.EncodeToString(sum[:]) + ".json"
	manifest, err := json.Marshal([]object{{"Config": name, "RepoTags": []string{reference}, "Layers": []string{"layer.tar"}}})
	if err != nil {
		return err
	}
	size, err := layer.Seek(0, io.SeekEnd)
	if err != nil {
		return err
	}
	if _, err := layer.Seek(0, io.SeekStart); err != nil {
		return err
	}
	w := tar.NewWriter(out)
	for _, part := range []struct {
		name string
		size int64
		data io.Reader
	}{
		{name, int64(len(image)), bytes.NewReader(image)}, {"layer.tar", size, layer}, {"manifest.json", int64(len(manifest)), bytes.NewReader(manifest)},
	} {
		if err := w.WriteHeader(&tar.Header{Name: part.name, Mode: 0o644, Size: part.size, ModTime: epoch, Format: tar.FormatGNU}); err != nil {
			return err
		}
		if _, err := io.Copy(w, part.data); err != nil {
			return err
		}
	}
	return w.Close()
}
