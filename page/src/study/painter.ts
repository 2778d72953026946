// The lines of the parallel coordinates, the best first and each behind what is there already, as many a frame
// as keep the frame short. So a brush answers at once however many trials there are, and the picture fills up.
import { dotOf, Lines } from "../lines";
import type { Geometry } from "../pictures/parallel";

const SHADES = 32;
const DRAWING = 7; // ms of a frame that go to lines
export const MOST = 20_000; // lines that are drawn, the best ones: more of them only fill the picture

export class Painter {
  private request = 0;
  private lines: Lines;
  private scale: number;
  private shades: number[];

  constructor(
    private canvas: HTMLCanvasElement,
    private g: Geometry,
    colour: (rank: number) => string,
    private alpha: number,
  ) {
    this.scale = canvas.width / Number(canvas.dataset.width || 1);
    this.lines = new Lines(canvas.width, canvas.height, Math.max(1, this.scale));
    this.shades = Array.from({ length: SHADES + 1 }, (_, i) => dotOf(colour(i / SHADES)));
  }

  stop(): void {
    cancelAnimationFrame(this.request);
  }

  // With *now* the first lines are drawn at once: the caller is in a frame already.
  paint(kept: Uint8Array, now = false): void {
    this.stop();
    const context = this.canvas.getContext("2d")!;
    const { order, rank } = this.g;
    const alpha = Math.round(255 * this.alpha);
    const xs = this.g.xs.map((x) => x * this.scale);
    const { ys } = this.g;
    let next = 0;
    let drawn = 0;
    const draw = () => {
      if (!next) this.lines.clear();
      const until = performance.now() + DRAWING;
      while (next < order.length && drawn < MOST) {
        const trial = order[next++];
        if (!kept[trial]) continue;
        const colour = this.shades[Math.floor(rank[trial] * SHADES)];
        for (let a = 1; a < xs.length; a++)
          this.lines.draw(xs[a - 1], ys[a - 1][trial] * this.scale, xs[a], ys[a][trial] * this.scale, colour, alpha);
        if (!(++drawn % 32) && performance.now() > until) break;
      }
      this.lines.show(context);
      if (next < order.length && drawn < MOST) this.request = requestAnimationFrame(draw);
      else this.canvas.dataset.done = String(Number(this.canvas.dataset.done ?? 0) + 1);
    };
    if (now) draw();
    else this.request = requestAnimationFrame(draw);
  }
}

export function fit(canvas: HTMLCanvasElement, width: number, height: number, ratio = window.devicePixelRatio || 1): void {
  canvas.width = width * ratio;
  canvas.height = height * ratio;
  canvas.dataset.width = String(width);
  canvas.style.width = `${width}px`;
  canvas.style.height = `${height}px`;
  canvas.getContext("2d")!.setTransform(ratio, 0, 0, ratio, 0, 0);
}
