# Shared by the images' rootfs.sh: makes the smallest file system that a program built on Debian runs in. Sourced.
set -euo pipefail

# rootfs_base ROOT: users, name resolution, CA certificates
rootfs_base() {
  local root=$1
  mkdir -p "$root"/{usr/bin,etc/ssl/certs,tmp,data}
  chmod 1777 "$root/tmp"
  printf 'root:x:0:0:root:/:/sbin/nologin\nnonroot:x:65532:65532:nonroot:/data:/sbin/nologin\n' > "$root/etc/passwd"
  printf 'root:x:0:\nnonroot:x:65532:\n' > "$root/etc/group"
  printf 'hosts: files dns\n' > "$root/etc/nsswitch.conf"
  cp /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/"
}

# rootfs_program ROOT FILE: the program, stripped, and every shared library it names
rootfs_program() {
  local root=$1 file=$2 library
  install -m 0755 "$file" "$root/usr/bin/"
  strip --strip-all "$root/usr/bin/$(basename "$file")"
  for library in $(ldd "$file" | grep -oE '/[^ ]+'); do
    mkdir -p "$root$(dirname "$library")"
    cp -Ln "$library" "$root$library"
  done
}

# rootfs_resolver ROOT: name lookups load these at run time, so ldd does not name them
rootfs_resolver() {
  local root=$1 library
  for library in libnss_dns.so.2 libnss_files.so.2 libresolv.so.2; do
    for dir in /lib/*-linux-gnu; do
      [ -e "$dir/$library" ] && mkdir -p "$root$dir" && cp -Ln "$dir/$library" "$root$dir/$library"
    done
  done
  return 0
}
