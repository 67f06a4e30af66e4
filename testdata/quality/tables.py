"""Tables of docs/quality.md from a quality.json: means over samples, and differences sample by sample.

    python3 testdata/quality/tables.py out/quality/quality.json [--against SETTINGS] [SERIES ...]

A difference is taken on the samples that both settings have: they start from the same noise, so it is
far less uncertain than the difference of two means. "±" is the standard error of a mean.
"""

import argparse
import json
import statistics


def mean(runs, what):
    numbers = [run[what] for run in runs.values() if run[what] is not None]
    return statistics.mean(numbers) if numbers else float("nan")


def with_error(numbers, sign=""):
    centre = f"{statistics.mean(numbers):{sign}.1f}"
    if len(numbers) < 2:
        return centre
    return f"{centre} ± {statistics.stdev(numbers) / len(numbers) ** 0.5:.1f}"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("file")
    parser.add_argument("series", nargs="*", help="default: all")
    parser.add_argument("--against", help="the settings that others are compared with")
    arguments = parser.parse_args()
    with open(arguments.file, encoding="utf-8") as file:
        results = json.load(file)
    runs = {}
    for candidate in results["candidates"]:
        key = (candidate["series"], candidate["settings"])
        runs.setdefault(key, {}).update({run["sample"]: run for run in candidate["runs"]})
    base = next((r for (_, settings), r in runs.items() if settings == arguments.against), None)
    if arguments.against and base is None:
        parser.error(f"no settings {arguments.against} in {arguments.file}")
    floors = [run["psnr"] for run in results["floor"] if run["psnr"] is not None]
    if floors:
        print(f"half precision alone: {with_error(floors)} dB, {len(floors)} samples\n")
    header = ["settings", "samples", "density", "recall", "PSNR, dB", "SSIM", "relative L1"]
    header += ["against base, dB"] if base else []
    print("| " + " | ".join(header) + " |\n" + "|---" * len(header) + "|")
    for (series, settings), samples in runs.items():
        if arguments.series and series not in arguments.series:
            continue
        row = [
            f"`{settings}`",
            str(len(samples)),
            f"{mean(samples, 'density'):.3f}",
            f"{mean(samples, 'recall'):.3f}",
            with_error([run["psnr"] for run in samples.values()]),
            f"{mean(samples, 'ssim'):.3f}",
            f"{mean(samples, 'relativeL1'):.3f}",
        ]
        if base:
            shared = [run["psnr"] - base[name]["psnr"] for name, run in samples.items() if name in base]
            row.append("" if samples is base or not shared else with_error(shared, "+"))
        print("| " + " | ".join(row) + " |")


if __name__ == "__main__":
    main()
