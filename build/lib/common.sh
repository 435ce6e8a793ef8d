# Shared by the scripts under build/. Source it after `set -euo pipefail`.
# shellcheck shell=bash

shopt -s inherit_errexit

# Everything that was fetched or made once is kept here; it is safe to delete while nothing runs.
VMMDEVICES_CACHE=${VMMDEVICES_CACHE:-${HOME:-/root}/.cache/vmmdevices}

# Progress and errors go to stderr, so that stdout stays usable for results. Colours only on a terminal.
if [[ -t 2 && -z ${NO_COLOR:-} ]]; then
    _bold=$'\e[1m' _red=$'\e[31m' _green=$'\e[32m' _plain=$'\e[0m'
else
    _bold='' _red='' _green='' _plain=''
fi

# step TEXT: a progress line, shown on a terminal or when VMMDEVICES_PROGRESS=1.
step()
{
    if [[ -t 2 || ${VMMDEVICES_PROGRESS:-0} == 1 ]]; then printf '%s==>%s %s\n' "$_bold" "$_plain" "$*" >&2; fi
}

# done_line TEXT: a line that reports success, always shown.
done_line() { printf '%s%s%s\n' "$_green" "$*" "$_plain" >&2; }

# fail TEXT [STATUS]: one line that says what is wrong, then exit (1 unless told).
fail()
{
    printf '%serror:%s %s\n' "$_red" "$_plain" "$1" >&2
    exit "${2:-1}"
}

# with_apt COMMAND...: runs an apt-get command, refreshing the package lists once if it fails without them.
with_apt()
{
    local log
    log=$(mktemp)
    if "$@" >"$log" 2>&1; then rm -f "$log"; return 0; fi
    if (( EUID == 0 )); then
        step "refreshing the package lists"
        # A list of a third party that cannot be reached must not stop us: the retry decides.
        apt-get -qq update >>"$log" 2>&1 || true
        if "$@" >"$log" 2>&1; then rm -f "$log"; return 0; fi
    fi
    tail -n 5 "$log" >&2
    rm -f "$log"
    return 1
}

# need_packages PACKAGE...: makes sure that the Debian packages are installed.
# As root the missing ones are installed; otherwise the line to run is printed and the script ends.
need_packages()
{
    local package missing=()
    command -v dpkg-query >/dev/null || fail "this script needs Debian (dpkg, apt-get) for its packages: $*"
    for package in "$@"; do
        [[ $(dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null) == installed ]] || missing+=("$package")
    done
    (( ${#missing[@]} )) || return 0
    if (( EUID != 0 )); then
        fail "missing packages; run: sudo apt-get update && sudo apt-get install -y --no-install-recommends ${missing[*]}"
    fi
    step "installing ${missing[*]}"
    # Two scripts at once: dpkg's own lock makes the second one wait.
    with_apt env DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=300 \
        install -y --no-install-recommends "${missing[@]}" ||
        fail "could not install: ${missing[*]}"
}

# cached NAME MAKE [ARGUMENT...]: prints the path of the cache entry NAME; if it is absent, MAKE is called with a fresh
# directory and the arguments, and what it leaves in that directory becomes the entry in one rename.
# A MAKE that leaves a file `content` makes the entry that file; otherwise the entry is the directory.
# The lock makes a second run wait for the first instead of doing the work twice or seeing half of it.
# Not to be called in a condition (`if`, `||`): bash switches `set -e` off there, and MAKE relies on it.
cached()
{
    local entry=$VMMDEVICES_CACHE/$1 make=$2 parent name
    parent=$(dirname "$entry")
    name=$(basename "$entry")
    shift 2
    if [[ ! -e $entry ]]; then
        mkdir -p "$parent" "$VMMDEVICES_CACHE/.locks"
        (
            flock 9
            [[ ! -e $entry ]] || exit 0
            rm -rf "$parent/.fresh.$name."*            # what a killed run left behind
            fresh=$(mktemp -d "$parent/.fresh.$name.XXXXXX")
            trap 'rm -rf "$fresh"' EXIT
            "$make" "$fresh" "$@" >&2 </dev/null
            if [[ -f $fresh/content ]]; then
                mv -T "$fresh/content" "$entry"
            else
                chmod 755 "$fresh"
                mv -T "$fresh" "$entry"
            fi
        ) 9>"$VMMDEVICES_CACHE/.locks/$name"
    fi
    printf '%s\n' "$entry"
}
