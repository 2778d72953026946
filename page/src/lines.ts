// Thousands of thin lines, drawn into an image of our own: a canvas without a GPU takes 90 µs for a line
// across the picture, this takes five.
//
// Lines come in the order of their importance, each behind those that are there: a point has the colour of
// the first line through it, and grows denser with every other one.

export class Lines {
  private image: ImageData;
  private dots: Uint32Array; // alpha, blue, green, red, from the highest byte

  constructor(
    private width: number,
    private height: number,
    private thick: number, // dots
  ) {
    this.image = new ImageData(Math.max(1, width), Math.max(1, height));
    this.dots = new Uint32Array(this.image.data.buffer);
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
    let v = v0 + (first + 0.5 - u0) * slope - this.thick / 2;
    for (let u = first; u <= last; u++, v += slope) {
      let low = Math.floor(v);
      let left = this.thick;
      let part = Math.min(left, low + 1 - v);
      let at = u * along + low * across;
      while (left > 0.02) {
        if (low >= 0 && low < vEnd) {
          const share = (alpha * part) | 0;
          const there = this.dots[at];
          const dense = there >>> 24;
          if (dense === 0) this.dots[at] = colour | (share << 24);
          else if (dense < 250) this.dots[at] = (there & 0xffffff) | ((dense + (((255 - dense) * share) >> 8)) << 24);
        }
        left -= part;
        part = Math.min(1, left);
        low++;
        at += across;
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
