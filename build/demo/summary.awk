# Turns the FACT lines of build/run into the summary, and decides: exit status 0 only if every check was made and held.
function check(name, good, text) {
    printf "  %s %-22s %s\n", good ? "ok  " : "FAIL", name, text
    if (!good) bad++
}
function seconds(from, to) { return sprintf("%.1f s", to - from) }
function rate(bytes, from, to) { return to > from ? sprintf("%.0f MiB/s", bytes / 1048576 / (to - from)) : "at once" }
$1 == "FACT" && $2 == "device" { devices[++n] = $0; next }
$1 == "FACT" { key = $2; sub(/^FACT [^ ]+ ?/, ""); fact[key] = $0; next }
$1 == "GUEST-READY" { ready = $2 }
$1 == "GUEST-EXIT" { left = $2; seen = 1 }
$1 == "DMESG" { sub(/^DMESG /, ""); message[++m] = $0 }
END {
    names["1af4:1041"] = "virtio network"; names["1af4:1042"] = "virtio block"; names["1af4:1043"] = "virtio console"
    names["1af4:1044"] = "virtio entropy"
    printf "\nA Linux guest on our devices\n\n"
    printf "  kernel      %s, %s processor(s), %s MiB\n", fact["kernel"], fact["processors"], fact["memory"]
    printf "  ran         %s\n\n", fact["where"] == "native" ? "on this machine's /dev/kvm" : "in the nested lab (emulated processor)"
    printf "  %-14s %-18s %-14s %s\n", "address", "device", "driver", "interrupts"
    for (i = 1; i <= n; i++) {
        split(devices[i], f, " ")
        what = f[4] in names ? names[f[4]] : f[4]
        if (f[5] != "-") driven++
        printf "  %-14s %-18s %-14s %s\n", f[3], what, f[5], (f[6] > 0 ? f[6] " MSI-X vectors" : (f[7] > 0 ? "line " f[7] : "-"))
    }
    printf "\n"
    split(fact["vmm"], v, " "); split(fact["read"], r, " "); split(fact["write"], w, " "); split(fact["ping"], p, " ")
    split(fact["download"], d, " "); split(fact["upload"], u, " "); split(fact["times"], t, " ")
    bytes = r[1] * 512
    check("devices driven", driven >= 4, driven + 0 " functions have a driver")
    check("disk read", r[2] == fact["digest"] && r[2] != "", sprintf("%d MiB, sha256 %.12s... as on the host, %s", bytes / 1048576, r[2], rate(bytes, r[3], r[4])))
    check("disk write", fact["written"] == fact["digest"] && w[1] == "0", sprintf("the host reads what the guest wrote and synced, %s", rate(bytes, w[2], w[3])))
    check("ping", p[1] == 3, sprintf("%d of 3 answered%s", p[1], p[2] != "" ? ", " p[2] " ms" : ""))
    check("transfer to guest", d[1] == fact["digest"] && d[1] != "", sprintf("TCP over the tap, digest %s, %s", d[1] == fact["digest"] ? "matches" : "differs", rate(bytes, d[2], d[3])))
    check("transfer from guest", u[1] == fact["digest"] && u[1] != "", sprintf("TCP over the tap, digest %s, %s", u[1] == fact["digest"] ? "matches" : "differs", rate(bytes, u[2], u[3])))
    check("entropy", fact["entropy"] ~ /^32 virtio_rng/, fact["entropy"])
    check("kernel messages", fact["dmesg"] == "0", fact["dmesg"] == "0" ? "none of error level or above" : fact["dmesg"] " of error level or above")
    for (i = 1; i <= m && i <= 5; i++) printf "       %s\n", message[i]
    check("end", seen && left == 0 && v[1] == "0" && fact["status"] == "0", sprintf("guest powered off, vmm exit status %s", v[1] == "" ? "unknown" : v[1]))
    printf "\n  userspace after %s s of guest time, guest from start to power-off %.1f s\n", ready, v[2] / 1000
    printf "  prepared in %.1f s, ran in %.1f s, all of it %.1f s\n\n", t[1] / 1000, t[2] / 1000, t[3] / 1000
    exit bad > 0
}
