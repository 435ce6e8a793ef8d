# Builds the `vmm` command. Source it after common.sh.
# shellcheck shell=bash

# publish_vmm ROOT: publishes the command to ROOT/artifacts/publish unless nothing changed since, and prints its path.
# The lock makes a second run in the same checkout wait instead of writing the same files.
publish_vmm()
{
    local root=$1
    local out=$root/artifacts/publish log=$root/artifacts/publish.log
    mkdir -p "$root/artifacts"
    need_packages gcc libc6-dev                       # machine code is linked with them
    (
        flock 9
        if [[ ! -x $out/vmm || -n $(sources_newer "$root" "$out/vmm.stamp") ]]; then
            step "building vmm (log: artifacts/publish.log)"
            touch "$out.start"
            dotnet publish "$root/Vmm.Cli" -c Release -o "$out" -v q -nologo >"$log" 2>&1 ||
                { tail -n 20 "$log" >&2; fail "vmm does not build"; }
            # What was edited while the build ran counts as newer.
            mv "$out.start" "$out/vmm.stamp"
        fi
    ) 9>"$root/artifacts/publish.lock"
    printf '%s\n' "$out/vmm"
}

# sources_newer ROOT STAMP: the first source file that is newer than the stamp, if any.
sources_newer()
{
    [[ -e $2 ]] || { echo absent; return; }
    find "$1" \( -name bin -o -name obj -o -name artifacts -o -name .git -o -name Vmm.Tests -o -name Vmm.Benchmarks \) -prune -o \
        -type f \( -name '*.cs' -o -name '*.csproj' -o -name '*.props' -o -name '*.targets' -o -name '*.json' \) -newer "$2" -print -quit
}

# need_dotnet: the .NET 10 SDK cannot be had from Debian, so say where it comes from.
need_dotnet()
{
    command -v dotnet >/dev/null || fail "the .NET 10 SDK is missing: install it from https://dot.net and put dotnet on PATH"
    [[ $(dotnet --version 2>/dev/null) == 10.* ]] || fail "this needs the .NET 10 SDK; dotnet --version says: $(dotnet --version 2>&1 | head -n 1)"
}
