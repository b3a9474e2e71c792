/**
 * What a socket holds of an unfinished message, whatever its frames and chunks.
 */
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { createFrameMeter } from '../src/frame-meter.ts'

interface Sent {
  readonly control: boolean
  readonly final: boolean
  readonly masked: boolean
  readonly length: number
}

function bytesOf({ control, final, masked, length }: Sent): number[] {
  const size = control ? Math.min(length, 125) : length
  const extended =
    size < 126
      ? []
      : size < 65_536
        ? [size >> 8, size & 255]
        : [0, 0, 0, 0, 0, size >> 16, (size >> 8) & 255, size & 255]
  const short = size < 126 ? size : size < 65_536 ? 126 : 127
  const mask = masked ? [1, 2, 3, 4] : []
  return [
    (final || control ? 0x80 : 0) | (control ? 0x9 : 0x2),
    (masked ? 0x80 : 0) | short,
    ...extended,
    ...mask,
    ...Array(size).fill(0xff),
  ]
}

const anySent = fc.record({
  control: fc.boolean(),
  final: fc.boolean(),
  masked: fc.boolean(),
  length: fc.oneof(fc.integer({ min: 0, max: 130 }), fc.constantFrom(125, 126, 65_535, 65_536, 70_000)),
})

test('chunks are held whole in which something lies of a message that has not ended, all others are not', () => {
  fc.assert(
    fc.property(fc.array(anySent, { maxLength: 8 }), fc.array(fc.integer({ min: 1, max: 400 })), (sent, cuts) => {
      const all = sent.flatMap(bytesOf)
      const ends = sent.filter(({ control, final }) => final && !control).length
      const meter = createFrameMeter()
      let ended = 0
      const chunks: { readonly at: number; readonly end: number }[] = []
      for (let at = 0, index = 0; at < all.length; index++) {
        const end = Math.min(at + (cuts[index] ?? all.length), all.length)
        chunks.push({ at, end })
        if (meter.take(Uint8Array.from(all.slice(at, end)))) ended += 1
        at = end
      }
      const parts = partsAtEnd(sent)
      const held = chunks.filter(({ at, end }) => parts.some((part) => part.at < end && at < part.end))
      expect(meter.bytes).toBe(held.reduce((sum, { at, end }) => sum + end - at, 0))
      expect(ended > 0).toBe(ends > 0)
    }),
    { numRuns: 300 },
  )
})

/** Where the frames lie, from the last byte of their headers on, of the message that has not ended. */
function partsAtEnd(sent: readonly Sent[]): readonly { readonly at: number; readonly end: number }[] {
  let parts: { at: number; end: number }[] = []
  let at = 0
  for (const one of sent) {
    const { length } = bytesOf(one)
    if (!one.control) parts = one.final ? [] : [...parts, { at: at + headerOf(one) - 1, end: at + length }]
    at += length
  }
  return parts
}

function headerOf({ control, masked, length }: Sent): number {
  const size = control ? Math.min(length, 125) : length
  return 2 + (size < 126 ? 0 : size < 65_536 ? 2 : 8) + (masked ? 4 : 0)
}

test('a fragment of one byte among pongs holds the chunk that it came in', () => {
  const meter = createFrameMeter()
  const pongs = Array.from({ length: 500 }, () => bytesOf({ control: true, final: true, masked: true, length: 125 }))
  const chunk = Uint8Array.from([
    ...bytesOf({ control: false, final: false, masked: true, length: 1 }),
    ...pongs.flat(),
  ])
  for (let count = 1; count <= 3; count++) {
    meter.take(chunk)
    expect(meter.bytes).toBe(count * chunk.length)
  }
})

test('a frame of which only a part came is held as soon as its header is there, byte by byte', () => {
  const meter = createFrameMeter()
  const frame = bytesOf({ control: false, final: true, masked: true, length: 126 })
  const seen = frame.map((byte) => {
    meter.take(Uint8Array.of(byte))
    return meter.bytes
  })
  expect(seen.slice(0, 8)).toEqual([0, 0, 0, 0, 0, 0, 0, 1])
  expect(seen.at(-2)).toBe(1 + 125)
  expect(seen.at(-1)).toBe(0)
})
