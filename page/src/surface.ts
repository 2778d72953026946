// What pictures are drawn on. One drawing serves the screen, the PNG and the SVG.

export interface Style {
  stroke?: string;
  fill?: string;
  width?: number;
  alpha?: number;
  dash?: number[];
}

export interface TextStyle {
  fill: string;
  size?: number;
  anchor?: "start" | "middle" | "end";
  bold?: boolean;
  turn?: number; // degrees
}

export interface Surface {
  line(points: number[], style: Style): void; // x, y, x, y, ...; NaN lifts the pen
  circle(x: number, y: number, r: number, style: Style): void;
  rect(x: number, y: number, w: number, h: number, style: Style): void;
  polygon(points: number[], style: Style): void;
  text(x: number, y: number, text: string, style: TextStyle): void;
  clip(x: number, y: number, w: number, h: number, inside: () => void): void;
}

export const FONT = 'system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", sans-serif';

export class CanvasSurface implements Surface {
  constructor(private c: CanvasRenderingContext2D) {}

  private dress(style: Style): void {
    this.c.globalAlpha = style.alpha ?? 1;
    this.c.lineWidth = style.width ?? 1;
    this.c.setLineDash(style.dash ?? []);
    if (style.stroke) this.c.strokeStyle = style.stroke;
    if (style.fill) this.c.fillStyle = style.fill;
  }

  line(points: number[], style: Style): void {
    this.dress(style);
    this.c.beginPath();
    let down = false;
    for (let i = 0; i < points.length; i += 2) {
      const x = points[i];
      const y = points[i + 1];
      if (Number.isNaN(y) || Number.isNaN(x)) down = false;
      else if (down) this.c.lineTo(x, y);
      else {
        this.c.moveTo(x, y);
        down = true;
      }
    }
    this.c.stroke();
  }

  circle(x: number, y: number, r: number, style: Style): void {
    this.dress(style);
    this.c.beginPath();
    this.c.arc(x, y, r, 0, 2 * Math.PI);
    if (style.fill) this.c.fill();
    if (style.stroke) this.c.stroke();
  }

  rect(x: number, y: number, w: number, h: number, style: Style): void {
    this.dress(style);
    if (style.fill) this.c.fillRect(x, y, w, h);
    if (style.stroke) this.c.strokeRect(x, y, w, h);
  }

  polygon(points: number[], style: Style): void {
    this.dress(style);
    this.c.beginPath();
    for (let i = 0; i < points.length; i += 2) this.c.lineTo(points[i], points[i + 1]);
    this.c.closePath();
    if (style.fill) this.c.fill();
    if (style.stroke) this.c.stroke();
  }

  text(x: number, y: number, text: string, style: TextStyle): void {
    this.c.globalAlpha = 1;
    this.c.fillStyle = style.fill;
    this.c.font = `${style.bold ? "600 " : ""}${style.size ?? 11}px ${FONT}`;
    this.c.textAlign = style.anchor === "middle" ? "center" : (style.anchor ?? "start");
    this.c.textBaseline = "middle";
    if (style.turn) {
      this.c.save();
      this.c.translate(x, y);
      this.c.rotate((style.turn * Math.PI) / 180);
      this.c.fillText(text, 0, 0);
      this.c.restore();
    } else this.c.fillText(text, x, y);
  }

  clip(x: number, y: number, w: number, h: number, inside: () => void): void {
    this.c.save();
    this.c.beginPath();
    this.c.rect(x, y, w, h);
    this.c.clip();
    inside();
    this.c.restore();
  }
}

const escaped = (text: string) =>
  text.replace(/[&<>"']/g, (c) => `&#${c.charCodeAt(0)};`).replace(/[\u0000-\u0008\u000b\u000c\u000e-\u001f]/g, "");
const short = (x: number) => String(Math.round(x * 100) / 100);

export class SvgSurface implements Surface {
  private parts: string[] = [];
  private clips = 0;

  private dress(style: Style): string {
    const alpha = style.alpha !== undefined && style.alpha < 1 ? ` opacity="${short(style.alpha)}"` : "";
    const dash = style.dash?.length ? ` stroke-dasharray="${style.dash.join(" ")}"` : "";
    const stroke = style.stroke ? ` stroke="${escaped(style.stroke)}" stroke-width="${short(style.width ?? 1)}"` : "";
    return ` fill="${style.fill ? escaped(style.fill) : "none"}"${stroke}${dash}${alpha}`;
  }

  line(points: number[], style: Style): void {
    let path = "";
    let down = false;
    for (let i = 0; i < points.length; i += 2) {
      if (Number.isNaN(points[i]) || Number.isNaN(points[i + 1])) down = false;
      else {
        path += `${down ? "L" : "M"}${short(points[i])} ${short(points[i + 1])}`;
        down = true;
      }
    }
    this.parts.push(`<path d="${path}"${this.dress({ ...style, fill: undefined })}/>`);
  }

  circle(x: number, y: number, r: number, style: Style): void {
    this.parts.push(`<circle cx="${short(x)}" cy="${short(y)}" r="${short(r)}"${this.dress(style)}/>`);
  }

  rect(x: number, y: number, w: number, h: number, style: Style): void {
    this.parts.push(
      `<rect x="${short(x)}" y="${short(y)}" width="${short(Math.max(0, w))}" height="${short(Math.max(0, h))}"${this.dress(style)}/>`,
    );
  }

  polygon(points: number[], style: Style): void {
    this.parts.push(`<polygon points="${points.map(short).join(" ")}"${this.dress(style)}/>`);
  }

  text(x: number, y: number, text: string, style: TextStyle): void {
    const turn = style.turn ? ` transform="rotate(${style.turn} ${short(x)} ${short(y)})"` : "";
    const bold = style.bold ? ' font-weight="600"' : "";
    this.parts.push(
      `<text x="${short(x)}" y="${short(y)}" dy="0.35em" font-size="${style.size ?? 11}" text-anchor="${style.anchor ?? "start"}" fill="${escaped(style.fill)}"${bold}${turn}>${escaped(text)}</text>`,
    );
  }

  clip(x: number, y: number, w: number, h: number, inside: () => void): void {
    const id = `c${++this.clips}`;
    this.parts.push(
      `<clipPath id="${id}"><rect x="${short(x)}" y="${short(y)}" width="${short(w)}" height="${short(h)}"/></clipPath><g clip-path="url(#${id})">`,
    );
    inside();
    this.parts.push("</g>");
  }

  document(w: number, h: number, background: string): string {
    return (
      `<svg xmlns="http://www.w3.org/2000/svg" width="${w}" height="${h}" viewBox="0 0 ${w} ${h}" font-family="${escaped(FONT)}">` +
      `<rect width="100%" height="100%" fill="${escaped(background)}"/>${this.parts.join("")}</svg>`
    );
  }
}
