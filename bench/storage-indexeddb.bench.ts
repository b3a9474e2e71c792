/**
 * The IndexedDB storage beside bare IndexedDB: the same Chromium, the same disk, in the same run.
 *
 * Writing is compared with IndexedDB writing the same rows again, reading with IndexedDB reading the same rows; it checks nothing,
 * compares nothing and finds nothing again, so a ratio of 1 is out of reach. `--quick` measures less and takes some seconds.
 */
import { execFileSync } from 'node:child_process'
import { callIn, servePages } from '../scripts/pages.ts'
import { heading, median, print, type Row, round } from './harness.ts'
import type { Figure, Sizes } from './indexeddb/page.ts'

const MODULE = 'bench/indexeddb/page.ts'

type Measurements = typeof import('./indexeddb/page.ts')

const QUICK = process.argv.includes('--quick')
const SIZES: Sizes = QUICK
  ? { documents: 3_000, rounds: 3, commitMs: 200, largeBytes: 4 * 1024 * 1024 }
  : { documents: 20_000, rounds: 5, commitMs: 600, largeBytes: 16 * 1024 * 1024 }

heading()
const figures = new Map<string, Figure[]>()
for (const name of ['knownStates', 'appends', 'tails'] as const) take(await inPage(name, SIZES))
for (const size of [200, 4096]) take(await inPage('reading', SIZES, size))
print([...figures].map(([what, some]) => rowOf(what, some)))
print([
  await onDisk('folded', 'folded: bytes on disk per byte of content', '1.3'),
  await onDisk('one by one', 'folded, appended one by one: the same', '1.3'),
  await onDisk('small', 'one transaction each: (bytes - 120) per byte of id, header, transaction, seal', '1.5'),
  {
    what: 'bytes written by one transaction to a document of 10,000 sessions',
    figure: round(await inPage('manySessions')),
    target: '16,384',
  },
])

function take(some: readonly Figure[]): void {
  for (const figure of some) figures.set(figure.what, [...(figures.get(figure.what) ?? []), figure])
}

/** Both are measured in each round: the ratio is the median of theirs, so that a busy round disturbs one ratio only. */
function rowOf(what: string, some: readonly Figure[]): Row {
  const of = (part: (figure: Figure) => number) => median(some.map(part))
  const target = some[0]?.target
  return {
    what,
    figure: round(of(({ ours }) => ours)),
    raw: `${round(of(({ raw }) => raw))}  (${of(({ ours, raw }) => ours / raw).toFixed(2)} of it)`,
    ...(target === undefined ? {} : { target: target.toFixed(2) }),
  }
}

interface Answered {
  readonly answer: unknown
  readonly before: number
  readonly bytesOnDisk: number
}

/** Runs a measurement in a page of its own browser, with a disk of its own. */
async function inPage<Name extends keyof Measurements>(
  name: Name,
  ...args: Parameters<Measurements[Name]>
): Promise<Awaited<ReturnType<Measurements[Name]>>> {
  return (await inBrowser(name, args)).answer as Awaited<ReturnType<Measurements[Name]>>
}

async function inBrowser(name: keyof Measurements, args: unknown[]): Promise<Answered> {
  const pages = await servePages({ packages: 'built' })
  if (pages === undefined) throw new Error('there is no browser to measure in')
  try {
    const page = await pages.open(MODULE)
    const answer = await callIn(page, name, ...(args as never[]))
    await pages.stop()
    const before = sizeOf(pages.folder)
    // LevelDB tidies up what was written over when it is opened again.
    await callIn<Measurements['opened']>(await pages.open(MODULE), 'opened', String(args[0]))
    await pages.stop()
    return { answer, before, bytesOnDisk: sizeOf(pages.folder) }
  } finally {
    await pages.close()
  }
}

async function onDisk(what: 'folded' | 'one by one' | 'small', title: string, target: string): Promise<Row> {
  const { answer, before, bytesOnDisk } = await inBrowser('weighed', [what, SIZES])
  const allowance = what === 'small' ? 120 * SIZES.documents : 0
  const ratio = (bytes: number) => ((bytes - allowance) / (answer as number)).toFixed(2)
  return { what: title, figure: ratio(bytesOnDisk), raw: `${ratio(before)} before Chromium tidied up`, target }
}

function sizeOf(folder: string): number {
  const path = `${folder}/Default/IndexedDB`
  return Number(execFileSync('du', ['--bytes', '--summarize', path], { encoding: 'utf8' }).split('\t')[0])
}
