"""Medians of a run of build/lab/peer-bench beside those of the best peer: peer_report.py LOG JSON MARKDOWN. Prints the table."""
import datetime
import json
import os
import statistics
import sys

log, json_path, markdown_path = sys.argv[1:]

# (part, figure): (what it is, unit, whether more is better)
ROWS = {
    ("boot", "first-ms"): ("process start to the first guest instruction", "ms", False),
    ("boot", "ready-ms"): ("process start to userspace", "ms", False),
    ("boot", "whole-ms"): ("process start to its end", "ms", False),
    ("boot", "uptime-s"): ("guest time to userspace", "s", False),
    ("disk", "read-4k-1"): ("random read 4 KiB, depth 1", "IOPS", True),
    ("disk", "read-4k-32"): ("random read 4 KiB, depth 32", "IOPS", True),
    ("disk", "write-4k-1"): ("random write 4 KiB, depth 1", "IOPS", True),
    ("disk", "write-4k-32"): ("random write 4 KiB, depth 32", "IOPS", True),
    ("disk", "seq-read"): ("sequential read 64 MiB", "MiB/s", True),
    ("disk", "seq-write"): ("sequential write 64 MiB", "MiB/s", True),
    ("direct", "read-4k-1"): ("O_DIRECT, random read 4 KiB, depth 1", "IOPS", True),
    ("direct", "read-4k-32"): ("O_DIRECT, random read 4 KiB, depth 32", "IOPS", True),
    ("direct", "write-4k-1"): ("O_DIRECT, random write 4 KiB, depth 1", "IOPS", True),
    ("direct", "write-4k-32"): ("O_DIRECT, random write 4 KiB, depth 32", "IOPS", True),
    ("net", "send"): ("TCP, guest to host", "Mbit/s", True),
    ("net", "receive"): ("TCP, host to guest", "Mbit/s", True),
}
MEMORY = {
    "memory-peak": "peak memory above guest RAM",
    "memory-anonymous": "of it anonymous, at the end",
    "memory-files": "of it code and other files, at the end",
}
for of_part, after in (("disk", "after fio"), ("direct", "after fio, O_DIRECT"), ("net", "after iperf3")):
    for memory_figure, name in MEMORY.items():
        ROWS[of_part, memory_figure] = (f"{name}, {after}", "MiB", False)

samples = {}
subjects = {}
sums = set()
pace = []
rounds = 0
with open(log, encoding="utf-8", errors="replace") as lines:
    for line in lines:
        match line.split():
            case ["RESULT", number, part, subject, figure, value] if int(number) > 0:
                rounds = max(rounds, int(number))
                scale = 1024 if figure in MEMORY else 1
                samples.setdefault((part, figure), {}).setdefault(subject, []).append(float(value) / scale)
            case ["SUBJECT", subject, version]:
                subjects[subject] = version
            case ["SUM", digest]:
                sums.add(digest)
            case ["PACE", milliseconds]:
                pace.append(int(milliseconds))
if len(sums) > 1:
    sys.exit("the guests read different disks")

with open("/proc/cpuinfo", encoding="utf-8") as info:
    processor = next((line.split(":")[1].strip() for line in info if line.startswith("model name")), "unknown")
rows = []
for key, (name, unit, more) in ROWS.items():
    measured = samples.get(key, {})
    if "vmm" not in measured:
        continue
    medians = {subject: statistics.median(values) for subject, values in measured.items()}
    # The peer's memory is compared with the leanest, its speed with the fastest: the best of what it can be set to.
    peers = {subject: median for subject, median in medians.items() if subject != "vmm"}
    best = (max if more else min)(peers, key=peers.get)
    rows.append({
        "part": key[0], "figure": key[1], "name": name, "unit": unit, "more_is_better": more,
        "vmm": medians["vmm"], "peer": peers[best], "best_peer": best, "ratio": medians["vmm"] / peers[best] if peers[best] else None,
        "medians": medians, "samples": measured,
    })
if not rows:
    sys.exit("the run brought no figures")

# On an idle machine the lab is the only load and keeps its pace within a fifth or so.
slowest, fastest, load = max(pace), min(pace), os.getloadavg()[1]
busy = "" if slowest <= 1.5 * fastest and load < 2 else (
    f"The machine was busy: a load of {load:.1f}, and a loop of the lab took {fastest} to {slowest} ms, {statistics.median(pace):.0f} in the median. "
    "The figures say as much about its neighbours as about the VMMs.")


def number(value):
    """Three digits that count, four where a figure is large."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


today = datetime.date.today().isoformat()
with open(json_path, "w", encoding="utf-8") as file:
    about = {"date": today, "rounds": rounds, "processor": processor, "processors": os.cpu_count(), "versions": subjects,
             "load": load, "pace_ms": pace}
    json.dump(about | {"rows": rows}, file, indent=1)
    file.write("\n")

with open(markdown_path, "w", encoding="utf-8") as file:
    versions = ", ".join(f"{'QEMU' if name.startswith('qemu') else name} {version}" for name, version in subjects.items())
    file.write(f"""# Guests under `vmm` and under QEMU

`build/bench lab {rounds}`, {today}: medians of {rounds} rounds in one run of the lab, which emulates a machine of one processor on {processor}
({os.cpu_count()} processors). One vCPU, 512 MiB; {versions}.
The peer of a row is the best of QEMU's versions and ways to read (`aio=`).

| | vmm | QEMU, best | | vmm / QEMU | better is |
|---|---:|---:|---|---:|---|
""")
    for row in rows:
        ratio = "" if row["ratio"] is None else f"{row['ratio']:.2f}"
        file.write(f"| {row['name']}, {row['unit']} | {number(row['vmm'])} | {number(row['peer'])} | {row['best_peer'].removeprefix('qemu-')} "
                   f"| {ratio} | {'more' if row['more_is_better'] else 'less'} |\n")
    file.write("""
Memory is what the process has at its peak (VmHWM) less what of the guest's RAM is resident when the guest is done, which nothing gives back (and less
the initramfs, where it is mapped). Pages of files are shared with other processes of the same program.
""" + (f"\n{busy}\n" if busy else ""))

width = max(len(row["name"]) for row in rows)
print(f"{f'median of {rounds} rounds':<{width + 8}} {'vmm':>10} {'QEMU':>10} {'ratio':>6}  the best QEMU; all of them")
for row in rows:
    everyone = " ".join(f"{name.removeprefix('qemu-')}={number(median)}" for name, median in row["medians"].items() if name != "vmm")
    ratio = "-" if row["ratio"] is None else f"{row['ratio']:.2f}"
    print(f"{row['name'] + ', ' + row['unit']:<{width + 8}} {number(row['vmm']):>10} {number(row['peer']):>10} {ratio:>6}  "
          f"{row['best_peer'].removeprefix('qemu-')}; {everyone}")
if busy:
    print(busy)
print(f"written to {json_path} and {markdown_path}")
