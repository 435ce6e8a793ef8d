# Makes initramfs archives out of busybox and the modules of a fetched kernel. Source it after common.sh.
# shellcheck shell=bash

# busybox_tree DIRECTORY: a root with busybox and nothing else; applets are linked by /init with `busybox --install`.
busybox_tree()
{
    mkdir -p "$1"/{bin,sbin,usr/bin,usr/sbin,proc,sys,dev,etc,tmp,run,mnt,lib/modules}
    cp /bin/busybox "$1/bin/busybox"
    ln -s busybox "$1/bin/sh"
}

# add_modules TREE KERNEL LIST MODULE...: copies the modules with all they depend on to TREE/lib/modules and writes
# their names, in the order to insert them, to TREE/lib/modules/LIST. A module that is built in needs nothing; a name that
# this kernel does not know is an error.
add_modules()
{
    local tree=$1 kernel=$2 list=$3 module order path
    shift 3
    mkdir -p "$tree/lib/modules"
    order=$(
        for module in "$@"; do
            modprobe -d "$kernel" -S "$(<"$kernel/release")" --show-depends "$module" 2>/dev/null ||
                fail "kernel $(<"$kernel/release") has no module $module"
        done
    )
    # One line a module: "insmod PATH [OPTIONS]" or "builtin NAME"; each wanted once, in the order of its first mention.
    awk '$1 == "insmod" && !seen[$2]++ { print $2 }' <<<"$order" |
        while read -r path; do
            # Newer kernels' modules are compressed, which busybox cannot read.
            case $path in
                *.ko.xz) xz -dc "$path" >"$tree/lib/modules/$(basename "$path" .xz)" ;;
                *) cp "$path" "$tree/lib/modules/" ;;
            esac
            basename "$path" .xz
        done >"$tree/lib/modules/$list"
}

# pack_tree TREE FILE: writes the tree as a cpio archive, owned by root. Not compressed: guests here are emulated, and
# unpacking would cost them more than the larger file costs us. Archives of this kind may be concatenated.
pack_tree()
{
    (cd "$1" && find . -mindepth 1 -print0 | LC_ALL=C sort -z | cpio --quiet -0 -o -H newc -R 0:0 --reproducible) >"$2"
}
