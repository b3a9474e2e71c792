/**
 * Origins: from which web sites browsers may connect.
 *
 * A page of any site can open a WebSocket to any server, with the cookies of its visitor; only the browser's `Origin` header tells
 * where it came from. Clients that are no browsers send none, or what they like: this protects users of browsers, it keeps nobody
 * out. Not here: who somebody is (`authenticate`).
 */
import type { UpgradeRequest } from '@tidemark/websocket'

/**
 * Whether a request may come from where it says it comes from; without a list it may.
 *
 * @throws TypeError for what is no origin (`https://example.org`, without a path; or `null`, which sandboxed pages and files send).
 */
export function createOriginCheck(allowed: readonly string[] | undefined): (request: UpgradeRequest) => boolean {
  if (allowed === undefined) return () => true
  const origins = new Set(allowed.map(originOf))
  return ({ headers: { origin } }) => origin === undefined || origins.has(String(origin).toLowerCase())
}

function originOf(text: string): string {
  const origin = text.toLowerCase()
  if (origin === 'null' || (URL.canParse(origin) && new URL(origin).origin === origin)) return origin
  throw new TypeError(`an allowed origin is like https://example.org, without a path; got ${JSON.stringify(text)}`)
}
