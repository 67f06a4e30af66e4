"""training/loss.csv and validation.csv -> training/loss.svg, by hand: python plot_loss.py training"""
import csv
import math
import sys

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 720, 380, 60, 20, 30, 50
LOW, HIGH = 0.02, 1.5


def main():
    folder = sys.argv[1]
    with open(f"{folder}/loss.csv") as file:
        loss = [(int(r["step"]), float(r["loss"])) for r in csv.DictReader(file)]
    checks = {}
    with open(f"{folder}/validation.csv") as file:
        for r in csv.DictReader(file):
            checks.setdefault((r["frames"], int(r["step"])), []).append(float(r["loss"]))
    last = loss[-1][0]

    def x(step):
        return LEFT + (WIDTH - LEFT - RIGHT) * step / last

    def y(value):
        return TOP + (HEIGHT - TOP - BOTTOM) * math.log(HIGH / value) / math.log(HIGH / LOW)

    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" font-size="12">',
             f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>']
    for value in (0.02, 0.03, 0.05, 0.1, 0.2, 0.5, 1.0):
        parts.append(f'<path d="M{LEFT} {y(value):.1f}H{WIDTH - RIGHT}" stroke="#ddd"/>'
                     f'<text x="{LEFT - 6}" y="{y(value) + 4:.1f}" text-anchor="end">{value:g}</text>')
    for step in range(0, last + 1, 1000):
        parts.append(f'<text x="{x(step):.1f}" y="{HEIGHT - BOTTOM + 18}" text-anchor="middle">{step}</text>')
    parts.append(f'<text x="{(LEFT + WIDTH - RIGHT) / 2}" y="{HEIGHT - 12}" text-anchor="middle">step</text>')
    parts.append(f'<text x="{LEFT}" y="18">flow-matching loss: training (line, mean of 50 steps), '
                 'validation of the averaged weights (16 frames: dots, 8 frames: rings)</text>')
    points = " ".join(f"{x(s):.1f},{y(v):.1f}" for s, v in loss)
    parts.append(f'<polyline points="{points}" fill="none" stroke="#1f5fbf" stroke-width="1.5"/>')
    for (frames, step), values in checks.items():
        fill = "#c0392b" if frames == "16" else "none"
        parts.append(f'<circle cx="{x(step):.1f}" cy="{y(sum(values) / len(values)):.1f}" r="4" fill="{fill}" stroke="#c0392b"/>')
    parts.append("</svg>")
    with open(f"{folder}/loss.svg", "w") as out:
        out.write("\n".join(parts) + "\n")


if __name__ == "__main__":
    main()
