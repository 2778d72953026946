// Builds the page into src/luthier/app/dashboard/assets, and stamps it with the digest of its sources.
// The same sources give the same bytes: tests compare the stamp, and build it anew.
import { createHash } from "node:crypto";
import { mkdirSync, readFileSync, readdirSync, writeFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const here = dirname(fileURLToPath(import.meta.url));
const out = process.argv[2] ?? join(here, "../src/luthier/app/dashboard/assets");
mkdirSync(out, { recursive: true });
await build({
  entryPoints: [join(here, "src/page.tsx")],
  bundle: true,
  minify: true,
  target: "es2022",
  format: "iife",
  jsx: "automatic",
  jsxImportSource: "preact",
  legalComments: "inline",
  charset: "utf8",
  outdir: out,
  absWorkingDir: here,
  logLevel: "warning",
});

function files(folder) {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) =>
    entry.isDirectory() ? files(join(folder, entry.name)) : [join(folder, entry.name)],
  );
}

const digest = (data) => createHash("sha256").update(data).digest("hex");
const sources = [...files(join(here, "src")), ...["build.mjs", "package.json", "package-lock.json", "tsconfig.json"].map((n) => join(here, n))];
const lines = sources
  .map((path) => `${digest(readFileSync(path))}  page/${relative(here, path).replaceAll("\\", "/")}`)
  .sort();
for (const name of ["page.css", "page.js"]) lines.push(`${digest(readFileSync(join(out, name)))}  assets/${name}`);
writeFileSync(join(out, "built-from.txt"), lines.join("\n") + "\n");
