/** Which dialect a client gets. */
import { expect, test } from 'vitest'
import { dialects, jazz, selectDialect, tidemarkBinary, tidemarkJson } from '../src/index.ts'

test('a client that names no sub-protocol speaks the Jazz dialect', () => expect(selectDialect([])).toBe(jazz))

test('the first known sub-protocol that a client offers is taken', () => {
  expect(selectDialect(['tidemark.1.json'])).toBe(tidemarkJson)
  expect(selectDialect(['tidemark.9', 'tidemark.1.json'])).toBe(tidemarkJson)
  expect(selectDialect(['tidemark.1', 'tidemark.1.json'])).toBe(tidemarkBinary)
})

test('a client that offers only unknown ones gets none', () => {
  expect(selectDialect(['graphql-ws'])).toBeUndefined()
  expect(selectDialect(['jazz'])).toBeUndefined()
  expect(selectDialect([''])).toBeUndefined()
})

test('dialects differ in name and sub-protocol', () => {
  expect(new Set(dialects.map(({ name }) => name)).size).toBe(dialects.length)
  expect(new Set(dialects.map(({ subprotocol }) => subprotocol)).size).toBe(dialects.length)
})
