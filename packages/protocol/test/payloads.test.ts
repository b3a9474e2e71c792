/** Payloads of the Jazz dialect pass verbatim: hashes and signatures are over what their author wrote. */
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { jazz } from '../src/index.ts'
import { contentOf, encodeAll, id, jsonText, objectText, textOf, utf8 } from './help.ts'

const run = fc.record({
  session: id,
  after: fc.nat(),
  transactions: fc.array(jsonText, { maxLength: 4 }),
  seal: fc.option(fc.string({ unit: 'grapheme' }), { nil: undefined }),
})
const runs = fc.uniqueArray(run, { selector: ({ session }) => session, maxLength: 4 })
const gap = fc.constantFrom('', ' ', '\t', ' \r ')

test('headers and transactions keep their text, whatever is around it', () => {
  fc.assert(
    fc.property(objectText, runs, gap, (header, given, _) => {
      const texts = given.map(({ session, after, transactions, seal }) => {
        const sealed = seal === undefined ? '' : `${_},"lastSignature":${JSON.stringify(seal)}`
        return `${_}${JSON.stringify(session)}:${_}{"newTransactions":${_}[${_}${transactions.join(`${_},${_}`)}${_}]${_},"after":${after}${sealed}}${_}`
      })
      const line = `${_}{${_}"new"${_}:${_}{${texts.join(',')}},"id":"a","header":${_}${header}${_},"action":"content"}${_}`
      for (const frame of [line, utf8(line)]) {
        const content = contentOf(jazz, frame)
        expect(textOf(content.header)).toBe(header)
        expect(
          inOrder(
            content.runs.map((read) => ({
              ...read,
              transactions: read.transactions.map(textOf),
              seal: textOf(read.seal),
            })),
          ),
        ).toEqual(inOrder(given))
      }
    }),
    { numRuns: 1000 },
  )
})

test('what was received goes out again with the same bytes', () => {
  fc.assert(
    fc.property(objectText, runs, (header, given) => {
      const message = {
        action: 'content',
        id: 'a',
        kind: 'json',
        priority: 0,
        header: utf8(header),
        runs: given.map(({ session, after, transactions, seal }) => ({
          session,
          after,
          transactions: transactions.map(utf8),
          ...(seal !== undefined && { seal: utf8(seal) }),
        })),
      } as const
      const [line] = encodeAll(jazz, [message])
      const read = contentOf(jazz, utf8(line ?? ''))
      expect({ ...read, runs: inOrder(read.runs) }).toEqual({ ...message, runs: inOrder(message.runs) })
      // Node's Buffers are received too, and do not leak out.
      expect(contentOf(jazz, line ?? '').header?.constructor).toBe(Uint8Array)
    }),
    { numRuns: 1000 },
  )
})

test('numbers beyond a double, escapes and duplicate keys inside a transaction are not touched', () => {
  const transaction = String.raw`{"a":1e400,"a":-0,"b":1.0,"c":123456789012345678901234567890,"d":"\u00e9\ud800é","e":"[{\"x\":\"}]\"}]"}`
  const line = `{"action":"content","id":"a","new":{"s":{"after":0,"newTransactions":[${transaction} , ${transaction}]}}}`
  const content = contentOf(jazz, utf8(line))
  expect(content.runs[0]?.transactions.map(textOf)).toEqual([transaction, transaction])
  expect(encodeAll(jazz, [content])[0]).toContain(`[${transaction},${transaction}]`)
})

/** Objects list integer-like names first; the order of runs means nothing. */
function inOrder<T extends { readonly session: string }>(list: readonly T[]): T[] {
  return [...list].sort((a, b) => (a.session < b.session ? -1 : 1))
}
