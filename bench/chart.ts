/** Pictures for the documentation: small SVG files that read on a light and on a dark page. */

export interface Line {
  readonly name: string;
  /** x ascending. */
  readonly points: readonly (readonly [x: number, y: number])[];
  /** Drawn dashed and grey: what cannot be exceeded. */
  readonly isLimit?: boolean;
}

export interface LineChart {
  readonly title: string;
  readonly x: string;
  readonly y: string;
  readonly lines: readonly Line[];
}

export interface BarChart {
  readonly title: string;
  /** What the figures are: `milliseconds`. */
  readonly unit: string;
  readonly groups: readonly {
    readonly name: string;
    readonly bars: readonly { readonly name: string; readonly value: number }[];
  }[];
}

/** Told apart without colour too: every line and bar carries its name. */
const COLOURS = ["#2f6fde", "#d9730d", "#3a9a5b", "#9a4fc4", "#c43d5c"];
const GREY = "#888888";
const WIDTH = 760;
const LEFT = 64;
const TOP = 48;

/** A chart of lines, with a legend below. */
export function lineChart({ title, x, y, lines }: LineChart): string {
  const [width, height] = [WIDTH - LEFT - 24, 300];
  const all = lines.flatMap(({ points }) => points);
  const [mostX, stepX] = scale(Math.max(...all.map((point) => point[0])));
  const [mostY, stepY] = scale(Math.max(...all.map((point) => point[1])));
  const atX = (value: number) => LEFT + (value / mostX) * width;
  const atY = (value: number) => TOP + height - (value / mostY) * height;
  const grid = [
    ...steps(mostX, stepX).map((value) =>
      text(atX(value), TOP + height + 18, String(value), "middle"),
    ),
    ...steps(mostY, stepY).flatMap((value) => [
      `<path d="M${LEFT} ${round(atY(value))}h${width}" stroke="${GREY}" stroke-opacity=".25"/>`,
      text(LEFT - 8, atY(value) + 4, String(value), "end"),
    ]),
    text(LEFT + width / 2, TOP + height + 38, x, "middle"),
    text(LEFT - 48, TOP - 12, y, "start"),
  ];
  const drawn = lines.map(({ points, isLimit }, index) => {
    const path = points.map(([px, py]) => `${round(atX(px))} ${round(atY(py))}`).join("L");
    const stroke = isLimit ? `${GREY}" stroke-dasharray="5 4` : colour(index);
    return `<path d="M${path}" fill="none" stroke="${stroke}" stroke-width="2"/>`;
  });
  const legend = lines.flatMap(({ name, isLimit }, index) => {
    const at = TOP + height + 64 + index * 20;
    return [
      `<path d="M${LEFT} ${at - 4}h24" stroke="${isLimit ? GREY : colour(index)}" stroke-width="3"/>`,
      text(LEFT + 32, at, name, "start"),
    ];
  });
  return svg(TOP + height + 64 + lines.length * 20, title, [...grid, ...drawn, ...legend]);
}

/** Horizontal bars in groups, on a common scale, each with its figure. */
export function barChart({ title, unit, groups }: BarChart): string {
  const nameWidth = 230;
  const width = WIDTH - nameWidth - 90;
  const most = Math.max(...groups.flatMap(({ bars }) => bars.map(({ value }) => value)));
  const parts: string[] = [];
  let at = TOP + 10;
  for (const { name, bars } of groups) {
    parts.push(text(16, at + 4, `${name}, ${unit}`, "start", true));
    at += 14;
    bars.forEach((bar, index) => {
      const length = round(Math.max(1, (bar.value / most) * width));
      parts.push(
        text(nameWidth - 8, at + 12, bar.name, "end"),
        `<rect x="${nameWidth}" y="${at}" width="${length}" height="15" fill="${colour(index)}"/>`,
        text(nameWidth + length + 6, at + 12, bar.value.toFixed(0), "start"),
      );
      at += 20;
    });
    at += 18;
  }
  return svg(at, title, parts);
}

function svg(height: number, title: string, parts: readonly string[]): string {
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" font-family="sans-serif" font-size="13" role="img">`,
    `<title>${escape(title)}</title>`,
    text(16, 22, title, "start", true),
    ...parts,
    "</svg>\n",
  ].join("\n");
}

function text(
  x: number,
  y: number,
  words: string,
  anchor: "start" | "middle" | "end",
  isBold = false,
): string {
  const bold = isBold ? ' font-weight="bold"' : "";
  return `<text x="${round(x)}" y="${round(y)}" text-anchor="${anchor}" fill="${GREY}"${bold}>${escape(words)}</text>`;
}

/** The end of an axis that holds `most`, and the distance of its marks: 1, 2 or 5 times a power of ten. */
function scale(most: number): [end: number, step: number] {
  const power = 10 ** Math.floor(Math.log10(most / 5));
  const step = power * ([1, 2, 5, 10].find((factor) => most / (factor * power) <= 6) ?? 10);
  return [Math.ceil(most / step) * step, step];
}

function steps(end: number, step: number): number[] {
  return Array.from({ length: Math.round(end / step) + 1 }, (_, index) => index * step);
}

function colour(index: number): string {
  return COLOURS[index % COLOURS.length] ?? GREY;
}

const round = (value: number): number => Math.round(value * 10) / 10;

const escape = (words: string): string =>
  words.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
