#!/usr/bin/env bash
# Builds the images of the end-to-end tests from Debian's packages and pushes them to the registry given as $1.
set -euo pipefail
registry=$1
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
cd "$work"
umoci init --layout layout

root() { # root DIR: a busybox root file system
  mkdir -p "$1"/{bin,etc,tmp,proc,sys,dev,run,var,root}
  chmod 1777 "$1/tmp"
  install -m 755 "$(command -v busybox)" "$1/bin/busybox"
  /bin/busybox --list | grep -vx busybox | while read -r name; do ln -s busybox "$1/bin/$name"; done
  echo 'root:x:0:0:root:/root:/bin/sh' >"$1/etc/passwd"
  echo 'app:x:1000:1000:app:/tmp:/bin/sh' >>"$1/etc/passwd"
  printf 'root:x:0:\napp:x:1000:\n' >"$1/etc/group"
}
push() { # push NAME:TAG DIR umoci-config-arguments…
  local image=${1/:/-} name=$1 dir=$2; shift 2
  umoci new --image "layout:$image"
  umoci insert --image "layout:$image" "$dir" / >/dev/null
  umoci config --image "layout:$image" --config.env PATH=/bin "$@"
  skopeo copy --quiet --dest-tls-verify=false "oci:layout:$image" "docker://$registry/e2e/$name"
}

root tools
push tools:1 tools --config.cmd sh
for version in 1 2; do
  root "web$version"
  mkdir -p "web$version/www/cgi-bin"
  echo ok >"web$version/www/healthz"
  cat >"web$version/www/cgi-bin/info" <<CGI
#!/bin/sh
printf 'Content-Type: text/plain\r\n\r\nversion=$version pod=%s\n' "\$(hostname)"
CGI
  chmod 755 "web$version/www/cgi-bin/info"
  # Serves on for a moment after TERM, as programs behind a load balancer do.
  cat >"web$version/bin/start" <<'SH'
#!/bin/sh
httpd -f -p 8080 -h /www & child=$!
trap 'sleep 2; kill $child; exit 0' TERM
while kill -0 $child 2>/dev/null; do wait $child; done
SH
  chmod 755 "web$version/bin/start"
  push "web:$version" "web$version" --config.exposedports 8080/tcp --config.entrypoint /bin/start
done
