/**
 * Documents whose repair is put off: until a layer that they wait for is back, or for a while.
 *
 * L10: bounded, with one timer for all; nobody is asked meanwhile. What does not fit is not remembered, but that there was such.
 * Not here: repairs (`background.ts`), noticing that a layer is back (`layer.ts`, `sweeps.ts`).
 */
import type { Clock } from '@tidemark/storage'
import type { Layer } from './layer.ts'

export interface PutOff {
  /** Until one of these is back. */
  untilBack(id: string, layers: readonly Layer[]): void
  forMs(id: string, ms: number): void
  /** It waits for its time; nothing brings that forward. */
  isTimed(id: string): boolean
  /** The layers that a document waits for. */
  layersOf(id: string): readonly Layer[] | undefined
  delete(id: string): void
  /** A layer is back: takes out what waits for it, the longest first. */
  take(layer: Layer): readonly string[]
  /** Whether something was not remembered since this was asked. */
  overflown(): boolean
}

export interface PutOffOptions {
  readonly clock: Clock
  readonly signal: AbortSignal
  readonly max: number
  /** Its time has come. */
  due(id: string): void
}

export function createPutOff({ clock, signal, max, due }: PutOffOptions): PutOff {
  const waiting = new Map<string, readonly Layer[]>()
  const timed = new Map<string, number>()
  let alarm: { readonly atMs: number; readonly off: AbortController } | undefined
  let isOverflown = false

  function hasRoom(id: string): boolean {
    const isRoom = waiting.has(id) || timed.has(id) || waiting.size + timed.size < max
    if (!isRoom) isOverflown = true
    return isRoom
  }

  function ringAt(atMs: number): void {
    if (alarm !== undefined && alarm.atMs <= atMs) return
    alarm?.off.abort()
    const off = new AbortController()
    alarm = { atMs, off }
    clock.wait(atMs - clock.now(), AbortSignal.any([signal, off.signal])).then(ring, () => {})
  }

  function ring(): void {
    alarm = undefined
    const now = clock.now()
    const ids = [...timed].filter(([, atMs]) => atMs <= now).map(([id]) => id)
    for (const id of ids) timed.delete(id)
    const nextMs = [...timed.values()].reduce((next, atMs) => Math.min(next, atMs), Number.POSITIVE_INFINITY)
    if (timed.size > 0) ringAt(nextMs)
    for (const id of ids) due(id)
  }

  return {
    untilBack(id, layers) {
      if (!hasRoom(id)) return
      timed.delete(id)
      waiting.set(id, layers)
    },
    forMs(id, ms) {
      if (!hasRoom(id)) return
      waiting.delete(id)
      const atMs = clock.now() + ms
      timed.set(id, atMs)
      ringAt(atMs)
    },
    isTimed: (id) => timed.has(id),
    layersOf: (id) => waiting.get(id),
    delete(id) {
      waiting.delete(id)
    },
    take(layer) {
      const ids = [...waiting].filter(([, layers]) => layers.includes(layer)).map(([id]) => id)
      for (const id of ids) waiting.delete(id)
      return ids
    },
    overflown() {
      const was = isOverflown
      isOverflown = false
      return was
    },
  }
}
