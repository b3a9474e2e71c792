/**
 * What measurements share: a table, a clock that repeats, forced collections.
 *
 * Figures are medians of several rounds; beside each stands the raw limit measured in the same round, because machines are noisy
 * and ratios are less so.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { cpus, tmpdir } from 'node:os'
import { join } from 'node:path'

export interface Row {
  readonly what: string
  readonly figure: string
  /** The raw limit beside it, and the figure to reach. */
  readonly raw?: string
  readonly target?: string
}

export function heading(): void {
  console.log(`node ${process.version}, ${cpus().length} cores`)
}

export function print(rows: readonly Row[]): void {
  const columns = ['what', 'figure', 'raw', 'target'] as const
  const lines = [Object.fromEntries(columns.map((column) => [column, column])) as unknown as Row, ...rows]
  const widths = columns.map((column) => Math.max(...lines.map((line) => (line[column] ?? '').length)))
  for (const line of lines)
    console.log(
      columns
        .map((column, index) => (line[column] ?? '').padEnd(widths[index] ?? 0))
        .join('  ')
        .trimEnd(),
    )
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b)
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN
}

export const perSecond = (count: number, ms: number): number => (count * 1_000) / ms

export const round = (value: number): string => Math.round(value).toLocaleString('en')

/** Heap in use after two collections, in bytes. */
export async function heapUsed(): Promise<number> {
  const collect = globalThis.gc
  if (collect === undefined) throw new Error('run node with --expose-gc to measure memory')
  for (let times = 0; times < 2; times++) {
    await new Promise((resolve) => setTimeout(resolve, 20))
    collect()
  }
  return process.memoryUsage().heapUsed
}

/** A folder of its own in the system's temporary folder, removed afterwards. */
export async function withFolder<T>(use: (folder: string) => Promise<T>): Promise<T> {
  const folder = mkdtempSync(join(tmpdir(), 'tidemark-bench-'))
  try {
    return await use(folder)
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}
