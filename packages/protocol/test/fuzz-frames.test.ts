/**
 * Damaged conversations, in all dialects: messages or `ProtocolError`s come out and nothing else, memory stays, and what was
 * understood means the same when it is said again. 20,000 frames of each dialect, 1,000,000 with `TIDEMARK_LARGE`.
 */
import { expect, test } from 'vitest'
import { createFrameFuzzer } from '../../../scripts/fuzz-frames.ts'
import { type Codec, type Dialect, dialects, type Frame, type Message, ProtocolError } from '../src/index.ts'

const { process } = globalThis as unknown as {
  process: { env: Record<string, string>; memoryUsage(): { heapUsed: number } }
}
const FRAMES = process.env.TIDEMARK_LARGE ? 1_000_000 : 20_000
const SEED = 1
const LARGE_MS_MAX = 3_600_000
const FRAME_BYTES = 1 << 20

interface Tally {
  frames: number
  messages: number
  errors: number
  fatal: number
}

function listen(codec: Codec, frame: Frame, tally: Tally): Message[] {
  const heard: Message[] = []
  tally.frames += 1
  for (const decoded of codec.decode(frame)) {
    if (decoded instanceof ProtocolError) {
      tally.errors += 1
      if (decoded.fatal) tally.fatal += 1
    } else heard.push(decoded.message)
  }
  tally.messages += heard.length
  return heard
}

/** Said again by a codec that knows nothing, and heard by another. */
function saidAgain(dialect: Dialect, messages: readonly Message[]): Message[] {
  const listener = dialect.createCodec()
  return dialect
    .createCodec()
    .encode(messages, FRAME_BYTES)
    .flatMap((frame) => [...listener.decode(frame)])
    .map((decoded) => {
      if (decoded instanceof ProtocolError) throw decoded
      return decoded.message
    })
}

test.each(dialects.map((dialect) => [dialect.name, dialect] as const))(
  '%s: damaged conversations are messages and errors, and cost no memory',
  (_, dialect) => {
    const fuzzer = createFrameFuzzer(dialect, SEED)
    const tally: Tally = { frames: 0, messages: 0, errors: 0, fatal: 0 }
    const before = process.memoryUsage().heapUsed
    for (let index = 0; tally.frames < FRAMES; index++) {
      const codec = dialect.createCodec()
      const heard = fuzzer.conversation().flatMap((frame) => listen(codec, frame, tally))
      if (index % 50 === 0)
        expect(saidAgain(dialect, heard.filter(isSayable(dialect)))).toEqual(heard.filter(isSayable(dialect)))
    }
    const grownMb = Math.round((process.memoryUsage().heapUsed - before) / 2 ** 20)
    if (FRAMES > 20_000) console.log(dialect.name, `seed ${SEED}`, tally, `heap +${grownMb} MB`)
    // Both halves are exercised, or the fuzzer is none.
    expect(tally.messages).toBeGreaterThan(FRAMES / 4)
    expect(tally.errors).toBeGreaterThan(FRAMES / 10)
    expect(tally.fatal > 0).toBe(!dialect.text)
    expect(grownMb).toBeLessThan(300)
  },
  LARGE_MS_MAX,
)

/** The Jazz dialect cannot say that a LOAD probes, and a hello of another version is only a version. */
const isSayable = (dialect: Dialect) => (message: Message) =>
  message.action !== 'hello' || (message.version === 1 && dialect.traits.hello)
