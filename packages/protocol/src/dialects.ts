/**
 * The dialects there are, and which of them a client chose.
 */
import type { Dialect } from './dialect.ts'
import { jazz } from './jazz.ts'
import { tidemarkBinary } from './tidemark-binary.ts'
import { tidemarkJson } from './tidemark-json.ts'

export const dialects: readonly Dialect[] = [tidemarkBinary, tidemarkJson, jazz]

/**
 * The dialect for a connection whose client offered these WebSocket sub-protocols, in its order of preference.
 *
 * The Jazz dialect if it offered none; `undefined` if it offered only unknown ones, and the upgrade should be refused.
 */
export function selectDialect(subprotocols: readonly string[]): Dialect | undefined {
  if (subprotocols.length === 0) return jazz
  for (const offered of subprotocols) {
    const known = dialects.find(({ subprotocol }) => subprotocol === offered)
    if (known !== undefined) return known
  }
  return undefined
}
