"""Rows of the report: ours, theirs, the ratio of speed, the bar, and whether it is reached."""
import statistics
import sys


class Report:
    def __init__(self):
        self.rows = []
        self.schedule = ""

    def add(self, what, ours, theirs, bar, better="less", digits=2, note=""):
        """`ours` and `theirs` are lists, one figure a round, taken in turns."""
        ratio = ratio_of(ours, theirs) if better == "less" else ratio_of(theirs, ours)
        self.append(what, statistics.median(ours), statistics.median(theirs), ratio, bar, digits, note)

    def append(self, what, ours, theirs, ratio, bar, digits=2, note=""):
        self.rows.append({"schedule": self.schedule, "what": what, "ours": ours, "theirs": theirs, "ratio": ratio,
                          "bar": bar, "ok": ratio >= bar, "digits": digits, "note": note})

    def at_most(self, what, ours, bar, digits=2):
        """A figure that is held against a constant."""
        self.rows.append({"schedule": self.schedule, "what": what, "ours": ours, "theirs": None, "ratio": None,
                          "bar": bar, "ok": ours <= bar, "digits": digits, "note": ""})

    def table(self, title, first):
        """Prints the rows from number `first` on."""
        cells = [["", "ours", "theirs", "ratio", "bar", "", ""]]
        for row in self.rows[first:]:
            number = f",.{row['digits']}f"
            constant = row["ratio"] is None
            cells.append([row["what"], format(row["ours"], number),
                          "" if row["theirs"] is None else format(row["theirs"], number),
                          "" if constant else f"{row['ratio']:.2f}",
                          f"<= {row['bar']:g}" if constant else f"{row['bar']:.2f}",
                          "ok" if row["ok"] else "short", row["note"]])
        print_table(title, cells)

    def summary(self):
        short = [row for row in self.rows if not row["ok"]]
        print(f"\n{len(self.rows) - len(short)} of {len(self.rows)} reached")
        for row in short:
            figure = f"{row['ours']:g}" if row["ratio"] is None else f"{row['ratio']:.2f}"
            print(f"  short ({row['schedule']}): {row['what']}: {figure}, the bar is {row['bar']:.3g}"
                  f"{' (' + row['note'] + ')' if row['note'] else ''}")


def ratio_of(ours, theirs):
    """The median of the rounds' own ratios of speed, from times: a slow minute, which hits both, cancels out."""
    return statistics.median(b / a for a, b in zip(ours, theirs))


def print_table(title, cells):
    print(f"\n{title}")
    widths = [max(len(row[i]) for row in cells) for i in range(len(cells[0]))]
    for row in cells:
        print(("  " + row[0].ljust(widths[0]) + "".join("  " + cell.rjust(width)
                                                        for cell, width in zip(row[1:], widths[1:]))).rstrip())
    sys.stdout.flush()
