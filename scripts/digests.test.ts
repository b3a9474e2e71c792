/**
 * The digests that storages make are those of the protocol: no package may reach into both, so they meet here.
 */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { EMPTY_DIGEST, extendDigest } from '@tidemark/storage/adapter'
import { expect, test } from 'vitest'
import { root } from './workspace.ts'

interface Session {
  readonly name: string
  readonly transactions: readonly string[]
  readonly digests: readonly string[]
}

const vectors: Session[] = JSON.parse(readFileSync(join(root, 'packages/protocol/vectors/digests.json'), 'utf8'))

test.each(vectors.map((session) => [session.name, session] as const))('%s', (_, { transactions, digests }) => {
  expect(digests[0]).toBe(EMPTY_DIGEST)
  for (const [index, hex] of transactions.entries())
    expect(extendDigest(digests[index] ?? '', [Buffer.from(hex, 'hex')])).toBe(digests[index + 1])
})
