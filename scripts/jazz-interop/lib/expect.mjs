/**
 * Small helpers that every check uses: wait for something, insist on something.
 */

export const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms))

/** Fails the running check with `detail` unless `condition` holds. */
export function expect(condition, detail) {
  if (!condition) throw new Error(detail)
}

/** Polls until `read` answers something truthy, and answers it; fails the running check with `detail` otherwise. */
export async function eventually(read, detail, timeoutMs = 8000) {
  const end = Date.now() + timeoutMs
  for (;;) {
    const value = await attempt(read)
    if (value) return value
    if (Date.now() > end) throw new Error(`${typeof detail === 'function' ? detail() : detail} (after ${timeoutMs} ms)`)
    await sleep(20)
  }
}

async function attempt(read) {
  try {
    return await read()
  } catch {
    // What is being waited for may not exist yet; only the time limit decides.
    return undefined
  }
}

/** Waits until every connection of `clients` has been silent for `quietMs`, so that traffic can be counted afterwards. */
export async function quiet(clients, quietMs = 300, timeoutMs = 10_000) {
  const count = () => clients.reduce((sum, client) => sum + client.wire.messages.length, 0)
  const end = Date.now() + timeoutMs
  for (let last = count(); ; last = count()) {
    await sleep(quietMs)
    if (count() === last) return
    if (Date.now() > end)
      throw new Error(`the wire was not silent for ${quietMs} ms within ${timeoutMs} ms: a message loop?`)
  }
}
