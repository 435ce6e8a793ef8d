"""Score and survivors of one mutation run: mutation_report.py NAME REPORT SURVIVORS. Exit status 1 below 85 %."""
import json
import sys

name, report, survivors = sys.argv[1:]
with open(report, encoding="utf-8") as file:
    files = json.load(file)["files"]

counts = {}
lines = []
equivalent = 0
for path, content in sorted(files.items()):
    source = content["source"].splitlines()
    for mutant in content["mutants"]:
        # Nothing that is shifted here can be negative: a shift without sign is the same shift.
        if ">>>" in mutant.get("replacement", "") and mutant["status"] == "Survived":
            equivalent += 1
            continue
        counts[mutant["status"]] = counts.get(mutant["status"], 0) + 1
        if mutant["status"] in ("Survived", "NoCoverage"):
            start = mutant["location"]["start"]["line"]
            replacement = " ".join(mutant.get("replacement", "").split())[:160]
            lines.append(f"{path.split('/Vmm.')[-1]}:{start}: {mutant['status']} {mutant['mutatorName']}\n"
                         f"    was: {source[start - 1].strip()[:160]}\n    now: {replacement}")

found = counts.get("Killed", 0) + counts.get("Timeout", 0)
missed = counts.get("Survived", 0) + counts.get("NoCoverage", 0)
score = 100 * found / max(1, found + missed)
with open(survivors, "w", encoding="utf-8") as file:
    file.write("\n".join(lines) + "\n")
print(f"{name}: {score:.1f} % of {found + missed} mutants noticed ({counts.get('Timeout', 0)} of them by a test that never ended), {missed} not (listed in {survivors}); {equivalent} that mean the same left out")
sys.exit(0 if found + missed > 0 and score >= 85 else 1)
