/**
 * Pools: bytes that were received and are neither durable nor answered, counted per connection, per account and in all (L10).
 *
 * A connection is not read from once one of its pools is over its bound, until that pool is half empty again. Who pauses is whoever
 * sends while the pool is full, so a full pool costs its users time and nobody memory.
 * Not here: what counts (`lanes.ts`, `appends.ts`).
 */
import { type Connection, type Core, emit } from './core.ts'
import type { ConnectionTraits } from './events.ts'

export interface Pool {
  bytes: number
  readonly bytesMax: number
  /** Connections that are paused because of it. */
  readonly paused: Set<Connection>
}

/** Several connections of one user: what they may have together. */
export interface Account {
  connections: number
  subscriptions: number
  /** Sessions that the views of its connections name. */
  viewSessions: number
  readonly pool: Pool
}

export function createPool(bytesMax: number): Pool {
  return { bytes: 0, bytesMax, paused: new Set() }
}

/** The account of a new connection, if it has one. */
export function joinAccount(core: Core, { account: key }: ConnectionTraits): Account | undefined {
  if (key === undefined) return undefined
  const account = core.accounts.get(key) ?? {
    connections: 0,
    subscriptions: 0,
    viewSessions: 0,
    pool: createPool(core.limits.accountPendingBytesMax),
  }
  account.connections += 1
  core.accounts.set(key, account)
  return account
}

/** Peers that we ask are not among those who share: what others wait for may have to come from them. */
export function poolsOf(core: Core, traits: ConnectionTraits, account: Account | undefined): readonly Pool[] {
  const own = createPool(core.limits.pendingBytesMax)
  if (traits.upstream || traits.local) return [own]
  return account === undefined ? [own, core.pool] : [own, account.pool, core.pool]
}

/** Nothing of a connection that is gone is held up, and an account ends with its last connection. */
export function leavePools(core: Core, connection: Connection): void {
  for (const pool of connection.pools) pool.paused.delete(connection)
  const { account, traits } = connection
  if (account === undefined) return
  account.connections -= 1
  if (account.connections === 0) core.accounts.delete(traits.account as string)
}

export function charge(core: Core, connection: Connection, bytes: number): void {
  const before = isPaused(connection)
  for (const pool of connection.pools) {
    pool.bytes += bytes
    if (pool.bytes > pool.bytesMax) pool.paused.add(connection)
  }
  if (!before && isPaused(connection)) emit(core, { type: 'pause', connection: connection.id })
}

export function discharge(core: Core, connection: Connection, bytes: number): void {
  for (const pool of connection.pools) {
    pool.bytes -= bytes
    if (pool.bytes > pool.bytesMax / 2) continue
    for (const paused of pool.paused) {
      pool.paused.delete(paused)
      if (!isPaused(paused)) emit(core, { type: 'resume', connection: paused.id })
    }
  }
}

/** Who has no room for answers says nothing more meanwhile: what it said would fill what others share, for as long as it does not read. */
export function isPaused(connection: Connection): boolean {
  return connection.roomless.size > 0 || connection.pools.some((pool) => pool.paused.has(connection))
}
