/**
 * Marks: small facts of this node that its storage keeps beside documents. Values are JSON.
 *
 * A document id may be as long as a key, so keys do not contain ids. Not here: what is marked.
 */
import type { Storage } from '@tidemark/storage'

const utf8 = new TextEncoder()
const text = new TextDecoder()
const PAGE = 1_000

export const toBytes = (value: unknown): Uint8Array => utf8.encode(JSON.stringify(value))
export const fromBytes = (bytes: Uint8Array): unknown => JSON.parse(text.decode(bytes))

/** All marks under a prefix, in pages. */
export async function* readMarks(storage: Storage, prefix: string): AsyncGenerator<readonly [string, Uint8Array]> {
  for (let after: string | undefined; ; ) {
    const page = await storage.marks({ prefix, limit: PAGE, ...(after !== undefined && { after }) })
    yield* page
    if (page.length < PAGE) return
    after = page.at(-1)?.[0]
  }
}
