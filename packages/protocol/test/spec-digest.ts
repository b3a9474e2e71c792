/**
 * The digest of a session, written from section 5 of docs/protocol.md alone: with whole numbers of any size, step by step.
 */
const WORD = 2n ** 32n

const rotl = (word: bigint, bits: bigint): bigint => ((word << bits) | (word >> (32n - bits))) % WORD

function mix(word: bigint): bigint {
  let h = word
  h ^= h >> 16n
  h = (h * 0x85ebca6bn) % WORD
  h ^= h >> 13n
  h = (h * 0xc2b2ae35n) % WORD
  return h ^ (h >> 16n)
}

/** The digests at 0, 1, … transactions, as 16 lower-case hex digits. */
export function specDigests(transactions: readonly Uint8Array[]): string[] {
  let a = 0x74696465n
  let b = 0x6d61726bn
  const text = () => a.toString(16).padStart(8, '0') + b.toString(16).padStart(8, '0')
  const take = (w: bigint) => {
    const ka = (rotl((w * 0xcc9e2d51n) % WORD, 15n) * 0x1b873593n) % WORD
    a = (rotl(a ^ ka, 13n) * 5n + 0xe6546b64n) % WORD
    const kb = (rotl((w * 0x85ebca77n) % WORD, 16n) * 0xc2b2ae3dn) % WORD
    b = (rotl(b ^ kb, 15n) * 9n + 0x38495ab5n) % WORD
  }
  return [
    text(),
    ...transactions.map((transaction) => {
      take(BigInt(transaction.length))
      for (let at = 0; at < transaction.length; at += 4) {
        const bytes = [0, 1, 2, 3].map((index) => BigInt(transaction[at + index] ?? 0))
        take(bytes.reduce((word, byte, index) => word | (byte << BigInt(8 * index)), 0n))
      }
      a = mix((a + rotl(b, 16n)) % WORD)
      b = mix((b + a) % WORD)
      return text()
    }),
  ]
}
