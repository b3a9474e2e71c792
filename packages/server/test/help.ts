/**
 * Help for the tests of this package: waiting, a clock by hand, storages that count, fail or dawdle, servers on a free port.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Clock, Storage } from '@tidemark/storage'
import { memoryStorage } from '@tidemark/storage'
import { createServer, type Server, type ServerOptions } from '../src/index.ts'
import { type Listening, type ListenOptions, listen } from '../src/node.ts'

/** Waits until something is so; fails after a while, saying what was waited for. */
export async function until(what: string, isSo: () => boolean, ms = 20_000): Promise<void> {
  for (const start = Date.now(); !isSo(); await pause(5))
    if (Date.now() - start > ms) throw new Error(`waited in vain: ${what}`)
}

/** As `until`, looked at in every turn of the event loop: for what a thousand steps in a row wait for. */
export async function untilAtOnce(what: string, isSo: () => boolean, ms = 20_000): Promise<void> {
  for (let turns = 0, start = Date.now(); !isSo(); turns++) {
    await (turns < 1_000 ? new Promise((resolve) => setImmediate(resolve)) : pause(5))
    if (Date.now() - start > ms) throw new Error(`waited in vain: ${what}`)
  }
}

export async function untilAsync(what: string, isSo: () => Promise<boolean>, ms = 20_000): Promise<void> {
  for (const start = Date.now(); !(await isSo()); await pause(50))
    if (Date.now() - start > ms) throw new Error(`waited in vain: ${what}`)
}

export function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms))
}

export interface ManualClock extends Clock {
  /** Waits that are in force. */
  readonly waiting: number
  /** Lets time pass, ringing whatever is due in between, in order. */
  pass(ms: number): Promise<void>
}

export function manualClock(startMs = 1_000_000): ManualClock {
  let nowMs = startMs
  const waits = new Set<{ readonly at: number; readonly ring: () => void }>()
  return {
    now: () => nowMs,
    random: () => 0.5,
    wait: (ms, signal) =>
      new Promise((resolve, reject) => {
        if (signal?.aborted) return reject(signal.reason)
        const one = { at: nowMs + Math.max(0, ms), ring: () => resolve() }
        waits.add(one)
        signal?.addEventListener('abort', () => {
          waits.delete(one)
          reject(signal.reason)
        })
      }),
    get waiting() {
      return waits.size
    },
    async pass(ms) {
      const end = nowMs + ms
      for (;;) {
        await settled()
        const [next] = [...waits].filter(({ at }) => at <= end).sort((a, b) => a.at - b.at)
        if (next === undefined) break
        nowMs = Math.max(nowMs, next.at)
        waits.delete(next)
        next.ring()
      }
      nowMs = end
    },
  }
}

/** Everything that needs no time has happened. */
export async function settled(): Promise<void> {
  for (let turn = 0; turn < 5; turn++) await new Promise((resolve) => setImmediate(resolve))
}

export type Method = Exclude<keyof Storage, 'open' | 'close'>

/** A storage whose calls go through `around`, which may count, delay, fail. */
export function wrapped(storage: Storage, around: (method: string, call: () => unknown) => unknown): Storage {
  return new Proxy(storage, {
    get(target, name: string) {
      const method = target[name as keyof Storage] as (...args: unknown[]) => unknown
      return (...args: unknown[]) => around(name, () => method.apply(target, args))
    },
  })
}

/** Runs `use` with a folder that is removed afterwards. */
export async function withFolder<T>(use: (folder: string) => Promise<T>): Promise<T> {
  const folder = mkdtempSync(join(tmpdir(), 'tidemark-server-'))
  try {
    return await use(folder)
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

export interface World {
  readonly server: Server
  readonly listening: Listening
  readonly url: string
  get(path: string): Promise<{ status: number; body: string; type: string | null }>
}

/** Runs `use` against a server on a free port and takes it down again, whatever happens. */
export async function withServer(
  options: Partial<ServerOptions> & { readonly listen?: ListenOptions },
  use: (world: World) => Promise<void>,
): Promise<void> {
  const server = await createServer({ storage: memoryStorage(), ...options })
  const listening = await listen(server, { closeGraceMs: 200, ...options.listen })
  const base = listening.url.replace('ws:', 'http:')
  try {
    await use({
      server,
      listening,
      url: listening.url,
      async get(path) {
        const response = await fetch(base + path)
        return { status: response.status, body: await response.text(), type: response.headers.get('content-type') }
      },
    })
  } finally {
    await listening.close().catch(() => {})
  }
}

/** The value of one series in Prometheus text; 0 if it is not there. */
export function metric(text: string, series: string): number {
  const line = text.split('\n').find((candidate) => candidate.startsWith(`${series} `))
  return line === undefined ? 0 : Number(line.slice(series.length + 1))
}
