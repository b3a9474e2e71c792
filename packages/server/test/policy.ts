/**
 * Help for tests of the server as policy: a server with a clock by hand, and the client's end of a pipe.
 */
import { memoryStorage } from '@tidemark/storage'
import type { Channel } from '@tidemark/sync/run'
import { createServer, type ServerOptions } from '../src/index.ts'
import { type ManualClock, manualClock } from './help.ts'

interface Heard {
  readonly atMs: number
  readonly text: string
}

export function setUp(options: Partial<ServerOptions> = {}) {
  const clock = manualClock()
  return { clock, ready: createServer({ storage: memoryStorage(), clock, ...options }) }
}

/** The client's end of a pipe, noting what it hears and when. */
export function hear(channel: Channel, clock: ManualClock) {
  const heard: Heard[] = []
  const ends: { code: number; reason: string }[] = []
  channel.open({
    frame: (frame) => {
      const text = typeof frame === 'string' ? frame : new TextDecoder().decode(frame)
      for (const line of text.split('\n')) heard.push({ atMs: clock.now(), text: line })
    },
    drained() {},
    closed: (code, reason) => ends.push({ code, reason }),
  })
  const lines = () => heard.map(({ text }) => JSON.parse(text)).filter(({ type }) => type !== 'ping')
  return { heard, ends, lines, say: (line: unknown) => channel.send(JSON.stringify(line)) }
}
