/**
 * Tokens: shared secrets that let clients in, one per line of a file.
 *
 * They are compared by their hashes, in constant time and all of them every time, so that an answer's delay tells nothing. A
 * principal is named after the token's place among the tokens, never after the token: adding one at the end renames nobody. Not here: what a principal may do (`authorize`).
 */
import { createHash, timingSafeEqual } from 'node:crypto'
import type { UpgradeRequest } from '@tidemark/websocket'

/** The tokens of a file: one per line, trimmed; empty lines and lines that begin with `#` are not tokens. */
export function readTokens(text: string): readonly string[] {
  return text
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '' && !line.startsWith('#'))
}

/** An `authenticate` hook: the token comes as `Authorization: Bearer …` or as `?key=…`. Principals are `token 1`, `token 2`, … */
export function authenticateByToken(tokens: readonly string[]): (request: UpgradeRequest) => string | undefined {
  const hashes = tokens.map(sha256)
  return (request) => {
    const given = tokensOf(request).map(sha256)
    let found: number | undefined
    for (const [index, hash] of hashes.entries())
      for (const candidate of given) if (timingSafeEqual(hash, candidate)) found ??= index
    return found === undefined ? undefined : `token ${found + 1}`
  }
}

function tokensOf({ url, headers }: UpgradeRequest): string[] {
  const bearer = /^Bearer\s+(.+)$/i.exec(String(headers.authorization ?? ''))?.[1]
  const query = url.replace(/^[^?]*\??/, '')
  // In a query `+` may be meant as a space or, in a token that was pasted as it is, as itself.
  const keys = [query, query.replaceAll('+', '%2B')].map((text) => new URLSearchParams(text).get('key'))
  return [bearer?.trim(), ...keys].filter((token) => typeof token === 'string')
}

function sha256(token: string): Buffer {
  return createHash('sha256').update(token).digest()
}
