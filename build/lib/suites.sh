# Packages of other Debian suites than the machine's own (backports), unpacked beside, never installed. Source it after common.sh.
# apt works on a sources list, package lists and a cache of its own, all in the project's cache, so that the machine's configuration stays as it is.
# shellcheck shell=bash

# debian_mirror: URI of the mirror that this machine is configured to take Debian itself from.
debian_mirror()
{
    # (Read to the end: a reader that stops early would end apt-get by SIGPIPE.)
    apt-get indextargets --format '$(ORIGIN) $(LABEL) $(CREATED_BY) $(REPO_URI)' 2>/dev/null |
        awk '$1 == "Debian" && $2 == "Debian" && $3 == "Packages" && !found { print $4; found = 1 }'
}

# suite_apt SUITE PROGRAM [ARGUMENT...]: runs apt-get or apt-cache on that suite alone; its words go first.
suite_apt()
{
    local root=$VMMDEVICES_CACHE/apt/$1 program=$2
    shift 2
    "$program" -o Dir::Etc::sourcelist="$root/sources.list" -o Dir::Etc::sourceparts=/nonexistent -o Dir::Etc::preferences=/dev/null \
        -o Dir::State::lists="$root/lists" -o Dir::State::status=/dev/null -o Dir::Cache="$root/cache" -o Acquire::Languages=none \
        -o Acquire::Retries=3 "$@"
}

# refresh_suite SUITE: fetches the suite's package lists; one script at a time.
refresh_suite()
{
    mkdir -p "$VMMDEVICES_CACHE/.locks"
    ( flock 9; fetch_lists "$1" ) 9>"$VMMDEVICES_CACHE/.locks/apt-$1"
}

fetch_lists()
{
    local suite=$1 root=$VMMDEVICES_CACHE/apt/$1 mirror log
    mirror=$(debian_mirror)
    if [[ -z $mirror ]] && (( EUID == 0 )); then apt-get -qq update >&2 || true; mirror=$(debian_mirror); fi
    [[ -n $mirror ]] || fail "apt knows no Debian mirror; run: sudo apt-get update"
    mkdir -p "$root"/{lists/partial,cache/archives/partial}
    printf 'deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] %s %s main\n' "$mirror" "$suite" >"$root/sources.list"
    log=$root/update.log
    step "package lists of $suite"
    suite_apt "$suite" apt-get -qq update >"$log" 2>&1 && [[ -n $(ls "$root/lists"/*Packages* 2>/dev/null) ]] ||
        fail "the mirror that apt is configured with offers no $suite: $(grep -m 1 '^[EW]:' "$log" || tail -n 1 "$log")"
}

# need_suite SUITE: makes sure that its package lists are there.
need_suite() { [[ -n $(ls "$VMMDEVICES_CACHE/apt/$1/lists"/*Packages* 2>/dev/null) ]] || refresh_suite "$1"; }

# offered_packages SUITE: "name version" of all that it has, a line each.
offered_packages()
{
    suite_apt "$1" apt-cache dumpavail 2>/dev/null | awk '$1 == "Package:" { name = $2 } $1 == "Version:" { print name, $2 }'
}

# newest_package SUITE EXPRESSION: "name version" of the newest package whose whole name matches, by its version.
newest_package()
{
    local name version best_name='' best_version=''
    while read -r name version; do
        if [[ -z $best_version ]] || dpkg --compare-versions "$version" gt "$best_version"; then best_name=$name best_version=$version; fi
    done < <(offered_packages "$1" | awk -v want="^($2)\$" '$1 ~ want')
    [[ -z $best_name ]] || printf '%s %s\n' "$best_name" "$best_version"
}

# unpack_packages SUITE DIRECTORY PACKAGE...: fetches the packages and unpacks them over each other in the directory.
unpack_packages()
{
    local suite=$1 directory=$2 work
    shift 2
    mkdir -p "$directory"
    work=$(mktemp -d "$VMMDEVICES_CACHE/apt/$suite/fetch.XXXXXX")
    # Mirrors forget what a newer version replaced, so lists that are too old are fetched again once.
    (cd "$work" && suite_apt "$suite" apt-get -qq download "$@" >fetch.log 2>&1) ||
        { refresh_suite "$suite"; (cd "$work" && suite_apt "$suite" apt-get -qq download "$@" >fetch.log 2>&1); } ||
        { tail -n 3 "$work/fetch.log" >&2; rm -rf "$work"; fail "could not fetch from $suite: $*"; }
    local package
    for package in "$work"/*.deb; do dpkg-deb -x "$package" "$directory"; done
    rm -rf "$work"
}
