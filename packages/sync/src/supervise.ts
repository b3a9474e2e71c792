/**
 * A channel under supervision: a peer that stays silent is noticed, and a channel can be given up without waiting for its end.
 *
 * A peer that has nothing to say is not dead: it is asked first, unless it is one that pings. A dead peer does not answer a close either, so
 * whoever listens is told at once. Not here: opening channels (`reconnect.ts`).
 */
import type { Clock } from '@tidemark/storage'
import type { Channel, Receiver } from './run-channel.ts'

export interface SuperviseOptions {
  readonly clock: Clock
  /** Milliseconds until the first frame has to be there. */
  readonly firstMsMax: number
  /** Milliseconds between two frames, and from a probe to its answer. */
  readonly silenceMsMax: number
  /** Where peers are silent when there is nothing to say: they are asked for a word after so many milliseconds. */
  readonly probe?: { readonly afterMs: number; ask(): void } | undefined
  /** The first frame came. */
  heard(): void
}

export interface Supervised {
  /** To be attached in place of the channel itself. */
  readonly channel: Channel
  /** Closes the channel, and tells its receiver so at once. */
  end(code: number, reason: string): void
}

/** A probe stands behind what was sent before it, which may take a second for each so many bytes. */
const BYTES_PER_SECOND_MIN = 8_000

/** Close code, of those that belong to applications. */
export const SILENT = 4000

export function supervise(channel: Channel, options: SuperviseOptions): Supervised {
  const { clock, firstMsMax, silenceMsMax, probe, heard } = options
  const over = new AbortController()
  let receiver: Receiver | undefined
  let heardAt = clock.now()
  let heardFrames = 0
  /** Sent since then, or not gone by then. */
  let sentBytes = 0
  let paused = false

  function finish(code: number, reason: string): void {
    if (over.signal.aborted) return
    over.abort()
    receiver?.closed(code, reason)
  }

  function end(code: number, reason: string): void {
    if (over.signal.aborted) return
    channel.close(code, reason)
    finish(code, reason)
  }

  function note(): void {
    heardAt = clock.now()
    sentBytes = channel.unsent()
    heardFrames += 1
    if (heardFrames === 1) heard()
  }

  /** While we do not read, silence is ours. A clock may be set back. */
  function silentMs(): number {
    heardAt = paused ? clock.now() : Math.min(heardAt, clock.now())
    return clock.now() - heardAt
  }

  /** Resolves when nothing was heard for so long. */
  async function silentFor(limitMs: () => number): Promise<void> {
    for (let leftMs = limitMs() - silentMs(); leftMs > 0; leftMs = limitMs() - silentMs())
      await clock.wait(Math.ceil(leftMs), over.signal)
  }

  async function watch(): Promise<void> {
    await silentFor(() => (heardFrames > 0 ? 0 : firstMsMax))
    if (heardFrames === 0) return giveUp()
    for (;;) {
      const silenceMs = probe?.afterMs ?? silenceMsMax
      // For ever: it is not asked.
      if (silenceMs === Number.POSITIVE_INFINITY) return
      await silentFor(() => silenceMs)
      if (probe === undefined) return giveUp()
      probe.ask()
      if (!(await hears())) return giveUp()
    }
  }

  /** Whether anything comes in the time that what was sent may take. */
  async function hears(): Promise<boolean> {
    const before = heardFrames
    for (let waitedMs = 0; heardFrames === before && !paused; ) {
      const leftMs = silenceMsMax + Math.floor(sentBytes / BYTES_PER_SECOND_MIN) * 1_000 - waitedMs
      if (leftMs <= 0) return false
      const stepMs = Math.min(leftMs, silenceMsMax)
      await clock.wait(stepMs, over.signal)
      waitedMs += stepMs
    }
    return true
  }

  function giveUp(): void {
    end(SILENT, `nothing was heard for ${clock.now() - heardAt} ms`)
  }

  return {
    channel: {
      dialect: channel.dialect,
      send(frame) {
        sentBytes += frame.length
        channel.send(frame)
      },
      room: () => channel.room(),
      unsent: () => channel.unsent(),
      close: end,
      open(to) {
        receiver = to
        channel.open({
          frame(frame) {
            if (over.signal.aborted) return
            note()
            to.frame(frame)
          },
          drained() {
            if (!over.signal.aborted) to.drained()
          },
          closed: finish,
        })
        // Ends with the signal, and nobody waits for it.
        watch().catch(() => {})
      },
      pause() {
        paused = true
        channel.pause()
      },
      resume() {
        paused = false
        heardAt = clock.now()
        channel.resume()
      },
    },
    end,
  }
}
