import { describe, expect, test } from 'vitest'
import { digestFromBytes, digestToBytes, EMPTY_DIGEST, extendDigest, isDigest } from '../src/adapter.ts'

const utf8 = (text: string) => new TextEncoder().encode(text)

/** For implementations elsewhere: transactions of a session, as text, and the digest after them. */
const VECTORS: readonly (readonly [readonly Uint8Array[], string])[] = [
  [[], '746964656d61726b'],
  [[utf8('')], '8e84fd0080a38357'],
  [[utf8('a')], '74441a5d32f17050'],
  [[utf8('abc')], '0d74c255b3ef12ab'],
  [[utf8('abcd')], '243b818c04a86184'],
  [[utf8('hello'), utf8('world')], 'a7a2d160233de94a'],
  [[utf8('helloworld')], '171a370e43e12cc8'],
  [[Uint8Array.from({ length: 256 }, (_, index) => index)], '39b60fd31f1103f6'],
  [[new Uint8Array(1_000_000)], 'f733a9f0eef359b0'],
]

describe('the digest of a session', () => {
  test('is the one of the test vectors', () => {
    for (const [transactions, digest] of VECTORS) expect(extendDigest(EMPTY_DIGEST, transactions)).toBe(digest)
  })

  test('is made as its file says: the same steps, written plainly', () => {
    const lengths = [0, 1, 2, 3, 4, 5, 7, 8, 9, 63, 64, 65, 1000]
    const transactions = lengths.map((length) =>
      Uint8Array.from({ length }, (_, index) => (index * 151 + length) & 255),
    )
    expect(extendDigest(EMPTY_DIGEST, transactions)).toBe(plainDigest(transactions))
    for (const transaction of transactions)
      expect(extendDigest(EMPTY_DIGEST, [transaction])).toBe(plainDigest([transaction]))
  })

  test('does not depend on how transactions are grouped', () => {
    const transactions = Array.from({ length: 20 }, (_, index) => utf8(`transaction ${index}`))
    const whole = extendDigest(EMPTY_DIGEST, transactions)
    for (let cut = 0; cut <= 20; cut++)
      expect(extendDigest(extendDigest(EMPTY_DIGEST, transactions.slice(0, cut)), transactions.slice(cut))).toBe(whole)
  })

  test('depends on where transactions end, on their order, on each bit and on zeros at the end', () => {
    const base = [utf8('abcdefgh'), utf8('ijklmnop')]
    const flipped = Array.from({ length: 64 }, (_, bit) => {
      const bytes = new Uint8Array(base[0] as Uint8Array)
      bytes[bit >> 3] = (bytes[bit >> 3] as number) ^ (1 << (bit & 7))
      return [bytes, base[1] as Uint8Array]
    })
    const others = [
      [],
      [utf8('')],
      [utf8(''), utf8('')],
      [utf8('\0')],
      [utf8('\0\0\0\0')],
      [utf8('abcdefghijklmnop')],
      [utf8('abcdefg'), utf8('hijklmnop')],
      [utf8('ijklmnop'), utf8('abcdefgh')],
      [...base, utf8('')],
      [utf8('abcdefgh\0'), utf8('ijklmnop')],
      ...flipped,
    ]
    const digests = [base, ...others].map((transactions) => extendDigest(EMPTY_DIGEST, transactions))
    expect(new Set(digests).size).toBe(digests.length)
  })

  test('of many small transactions never meets itself, in whole or in one lane', () => {
    const digests = new Set<string>()
    const lanes = new Set<string>()
    let digest = EMPTY_DIGEST
    for (let index = 0; index < 20_000; index++) {
      digest = extendDigest(digest, [Uint8Array.of(index & 1)])
      digests.add(digest)
      lanes.add(digest.slice(0, 8))
    }
    expect(digests.size).toBe(20_000)
    // 20,000 of 2^32: a tenth of one collision is to be expected.
    expect(lanes.size).toBeGreaterThan(19_990)
  })

  test('changes about half of its bits with each bit of a transaction', () => {
    let changed = 0
    const base = extendDigest(EMPTY_DIGEST, [new Uint8Array(32)])
    for (let bit = 0; bit < 256; bit++) {
      const bytes = new Uint8Array(32)
      bytes[bit >> 3] = 1 << (bit & 7)
      const other = BigInt(`0x${extendDigest(EMPTY_DIGEST, [bytes])}`)
      for (let rest = other ^ BigInt(`0x${base}`); rest > 0n; rest >>= 1n) changed += Number(rest & 1n)
    }
    expect(changed / 256).toBeGreaterThan(28)
    expect(changed / 256).toBeLessThan(36)
  })

  test('is written as 16 hex digits or 8 bytes', () => {
    const digest = extendDigest(EMPTY_DIGEST, [utf8('x')])
    expect(isDigest(digest)).toBe(true)
    expect(new TextDecoder().decode(digestToBytes(EMPTY_DIGEST))).toBe('tidemark')
    expect(digestFromBytes(digestToBytes(digest))).toBe(digest)
    expect(digestFromBytes(Uint8Array.of(9, 9, ...digestToBytes(digest), 9), 2)).toBe(digest)
    for (const wrong of ['', '0', 'A'.repeat(16), 'g'.repeat(16), '0'.repeat(17)]) {
      expect(isDigest(wrong)).toBe(false)
      expect(() => extendDigest(wrong, [])).toThrow(RangeError)
      expect(() => digestToBytes(wrong)).toThrow(RangeError)
    }
    expect(() => digestFromBytes(new Uint8Array(7))).toThrow(RangeError)
  })
})

function plainDigest(transactions: readonly Uint8Array[]): string {
  const u32 = (value: bigint) => value & 0xffff_ffffn
  const rotl = (value: bigint, bits: bigint) => u32(value << bits) | (value >> (32n - bits))
  const mix = (value: bigint) => {
    let h = value
    h ^= h >> 16n
    h = u32(h * 0x85eb_ca6bn)
    h ^= h >> 13n
    h = u32(h * 0xc2b2_ae35n)
    return h ^ (h >> 16n)
  }
  let a = 0x74696465n
  let b = 0x6d61726bn
  const word = (w: bigint) => {
    a = u32(rotl(a ^ u32(rotl(u32(w * 0xcc9e_2d51n), 15n) * 0x1b87_3593n), 13n) * 5n + 0xe654_6b64n)
    b = u32(rotl(b ^ u32(rotl(u32(w * 0x85eb_ca77n), 16n) * 0xc2b2_ae3dn), 15n) * 9n + 0x3849_5ab5n)
  }
  for (const bytes of transactions) {
    word(BigInt(bytes.length))
    const filled = new DataView(new ArrayBuffer(Math.ceil(bytes.length / 4) * 4))
    for (const [index, byte] of bytes.entries()) filled.setUint8(index, byte)
    for (let index = 0; index < filled.byteLength; index += 4) word(BigInt(filled.getUint32(index, true)))
    a = mix(u32(a + rotl(b, 16n)))
    b = mix(u32(b + a))
  }
  return a.toString(16).padStart(8, '0') + b.toString(16).padStart(8, '0')
}
