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

test('bytes of whole messages and of control frames are not held, all others are', () => {
  fc.assert(
    fc.property(fc.array(anySent, { maxLength: 8 }), fc.array(fc.integer({ min: 1, max: 400 })), (sent, cuts) => {
      const all = sent.flatMap(bytesOf)
      let held = 0
      for (const one of sent) if (!one.control) held = one.final ? 0 : held + bytesOf(one).length
      const ends = sent.filter(({ control, final }) => final && !control).length
      const meter = createFrameMeter()
      let ended = 0
      for (let at = 0, index = 0; at < all.length; index++) {
        const end = at + (cuts[index] ?? all.length)
        if (meter.take(Uint8Array.from(all.slice(at, end)))) ended += 1
        at = end
      }
      expect(meter.bytes).toBe(held)
      expect(ended > 0).toBe(ends > 0)
    }),
    { numRuns: 300 },
  )
})

test('a frame of which only a part came is held with its header, byte by byte', () => {
  const meter = createFrameMeter()
  const frame = bytesOf({ control: false, final: true, masked: true, length: 126 })
  const seen = frame.map((byte) => {
    meter.take(Uint8Array.of(byte))
    return meter.bytes
  })
  expect(seen.slice(0, 8)).toEqual([0, 0, 0, 0, 0, 0, 0, 8])
  expect(seen.at(-2)).toBe(8 + 125)
  expect(seen.at(-1)).toBe(0)
})
