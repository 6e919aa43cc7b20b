#!/bin/sh
# Makes the programs of Kubernetes for tests/pods.py out of Debian's source package, whose binary one has kubectl alone.
# Wants deb-src in apt's sources, and: apt-get install build-essential golang-go golang-github-modern-go-reflect2-dev rsync etcd-server containerd runc \
#   containernetworking-plugins iptables conntrack kubernetes-client
# Takes ten minutes on two cores, and 5 GB under FOLDER, all but 500 MB of it removed at the end.
set -eu
folder=$(realpath -m "${1:?the folder to put them in}")
names="kube-apiserver kube-controller-manager kube-scheduler kube-proxy kubelet"
mkdir -p "$folder/source"
cd "$folder/source"
apt-get source --download-only kubernetes
dpkg-source --extract kubernetes_*.dsc tree
cd tree
# Kubernetes 1.20's own copy crashes the API server under Go 1.18 and later, which Debian builds with.
reflect2=vendor/github.com/modern-go/reflect2
rm -f $reflect2/*.go $reflect2/*.s
cp /usr/share/gocode/src/github.com/modern-go/reflect2/*.go /usr/share/gocode/src/github.com/modern-go/reflect2/*.s $reflect2
mkdir -p .go/src/k8s.io
ln -sfn ../../.. .go/src/k8s.io/kubernetes
export GOPATH="$PWD/.go" GOCACHE="$folder/source/cache" HOME="$folder/source" KUBE_GIT_TREE_STATE=clean
version=$(sed -n 's/^Version: .*really\([0-9.]*\)-.*/\1/p' ../kubernetes_*.dsc)
export KUBE_GIT_VERSION="v$version" KUBE_GIT_COMMIT=debian KUBE_GIT_MAJOR=1 KUBE_GIT_MINOR="$(echo "$version" | cut -d. -f2)"
make WHAT="$(printf 'cmd/%s ' $names)" GOLDFLAGS='-s -w'
for name in $names; do cp "_output/local/go/bin/$name" "$folder"; done
gcc -Os -static -o "$folder/pause" build/pause/linux/pause.c
chmod -R u+w "$folder/source"
rm -rf "$folder/source"
