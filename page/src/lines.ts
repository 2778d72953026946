// Thousands of thin lines, drawn into an image of our own: a canvas without a GPU takes some 85 µs for a line
// across the picture, this about 25.
//
// Lines come in the order of their importance, each behind those that are there: a point has the colour of
// the first line through it, and grows denser with every other one.

export class Lines {
  private image: ImageData;
  private dots: Int32Array; // alpha, blue, green, red, from the highest byte
  private dense: Record<number, Uint8Array> = {}; // by a line's alpha: the alpha after it, from the one before and 16 shares

  constructor(
    private width: number,
    private height: number,
    private thick: number, // dots
  ) {
    this.image = new ImageData(Math.max(1, width), Math.max(1, height));
    this.dots = new Int32Array(this.image.data.buffer);
  }

  clear(): void {
    this.dots.fill(0);
  }

  show(context: CanvasRenderingContext2D): void {
    context.putImageData(this.image, 0, 0);
  }

  // One straight piece. *colour* has the bytes blue, green, red; *alpha* is from 0 to 255.
  draw(x0: number, y0: number, x1: number, y1: number, colour: number, alpha: number): void {
    const flat = Math.abs(x1 - x0) >= Math.abs(y1 - y0);
    // Along u, a dot a step; across v, spread over the dots that the line covers.
    let [u0, v0, u1, v1] = flat ? [x0, y0, x1, y1] : [y0, x0, y1, x1];
    if (u0 > u1) [u0, v0, u1, v1] = [u1, v1, u0, v0];
    const [along, across] = flat ? [1, this.width] : [this.width, 1];
    const [uEnd, vEnd] = flat ? [this.width, this.height] : [this.height, this.width];
    const first = Math.max(0, Math.ceil(u0 - 0.5));
    const last = Math.min(uEnd - 1, Math.ceil(u1 - 0.5) - 1);
    const slope = u1 > u0 ? (v1 - v0) / (u1 - u0) : 0;
    const { dots, thick } = this;
    const dense = (this.dense[alpha] ??= after(alpha));
    const rows = Math.ceil(thick);
    let v = v0 + (first + 0.5 - u0) * slope - thick / 2;
    for (let u = first; u <= last; u++, v += slope) {
      // Of the dots that it covers, the first and the last one in part.
      const low = Math.floor(v);
      const part = v - low;
      let at = u * along + low * across;
      for (let row = 0; row <= rows; row++, at += across) {
        const inside = low + row;
        if (inside < 0 || inside >= vEnd) continue;
        const share = row === 0 ? 1 - part : row === rows ? thick - rows + part : 1;
        if (share <= 0) continue;
        const there = dots[at];
        const old = there >>> 24;
        if (old < 250) dots[at] = ((old ? there : colour) & 0xffffff) | (dense[(old << 4) | ((share * 15.99) | 0)] << 24);
      }
    }
  }
}

// Reads "#rrggbb" and "rgb(r,g,b)" as blue, green, red in one number.
export function dotOf(colour: string): number {
  const [red, green, blue] = colour.startsWith("#")
    ? [1, 3, 5].map((i) => parseInt(colour.slice(i, i + 2), 16))
    : colour.match(/\d+/g)!.map(Number);
  return (blue << 16) | (green << 8) | red;
}

function after(alpha: number): Uint8Array {
  return Uint8Array.from({ length: 256 * 16 }, (_, i) => (i >> 4) + (((255 - (i >> 4)) * alpha * ((i & 15) + 0.5)) >> 4) / 255);
}
