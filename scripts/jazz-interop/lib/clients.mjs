/**
 * Unmodified Classic Jazz clients: cojson nodes with an account, connected by cojson's own WebSocket peer.
 *
 * Not here: what is asked of them (checks/), the server (server.mjs).
 */
import { LocalNode, logger } from 'cojson'
import { NapiCrypto } from 'cojson/crypto/NapiCrypto'
import { WebSocketPeerWithReconnection } from 'cojson-transport-ws'
import { createWire } from './wire.mjs'

// A client logs what it refuses; the checks provoke that on purpose, so it is shown on request only.
if (!process.env.TRACE) for (const level of ['info', 'warn', 'error']) logger[level] = () => {}

const crypto = await NapiCrypto.create()

/** Clients of one check; `close` disconnects all that were made. */
export function createClients(url) {
  const made = []

  /** A new account. Options: `storage`, `connected` (default true). */
  async function signUp(name, options = {}) {
    const created = await LocalNode.withNewlyCreatedAccount({
      creationProps: { name },
      peers: [],
      crypto,
      storage: options.storage,
    })
    return add(name, created.node, created, options)
  }

  /** Another process of `owner`'s account: a new node with nothing in memory; a fresh session unless one is given. */
  async function signIn(name, owner, options = {}) {
    const sessionID = options.sessionID ?? crypto.newRandomSessionID(owner.accountID)
    const reconcile = options.reconcileStorage ?? false
    const node = new LocalNode(owner.accountSecret, sessionID, crypto, undefined, reconcile)
    if (options.storage) node.setStorage(options.storage)
    const client = add(name, node, { ...owner, sessionID }, options)
    const account = await node.load(owner.accountID)
    if (account === 'unavailable') throw new Error(`${name} cannot load its own account`)
    return client
  }

  function add(name, node, identity, options) {
    const { accountID, accountSecret, sessionID } = identity
    const client = connectable({ name, node, accountID, accountSecret, sessionID, wire: createWire(name) }, url)
    made.push(client)
    if (options.connected !== false) client.connect()
    return client
  }

  const close = () => {
    for (const client of made) client.close()
  }
  return { signUp, signIn, close }
}

function connectable(client, url) {
  const { node, wire } = client
  let peer
  client.connect = () => {
    peer ??= new WebSocketPeerWithReconnection({
      peer: url,
      reconnectionTimeout: 50,
      addPeer: (added) => node.syncManager.addPeer(added),
      removePeer() {},
      WebSocketConstructor: wire.Socket,
    })
    peer.enable()
  }
  client.disconnect = () => peer?.disable()
  client.close = () => {
    client.disconnect()
    void node.syncManager.gracefulShutdown()
    node.removeStorage()
  }
  /** The document's content, or a failure of the check. */
  client.open = async (id) => {
    const content = await node.load(id)
    if (content === 'unavailable') throw new Error(`${client.name} was told that a document is unavailable: ${id}`)
    return content
  }
  /** Resolves when the server acknowledged all that this client holds of the given documents (default: of all). */
  client.synced = async (documents, timeoutMs = 10_000) => {
    const waiting = documents
      ? Promise.all(documents.map((document) => document.core.waitForSync({ timeout: timeoutMs })))
      : node.syncManager.waitForAllCoValuesSync(timeoutMs)
    await waiting.catch((error) => {
      throw new Error(
        `${client.name} waits for an acknowledgement: ${String(error.message).split('\n').join(' ').slice(0, 300)}`,
      )
    })
  }
  return client
}

/** A group that everyone may read and write, so that checks about transport need no invitations. */
export function openGroup(client) {
  const group = client.node.createGroup()
  group.addMember('everyone', 'writer')
  return group
}

/** Transactions a client holds of a document, over all sessions. */
export const heldBy = (client, id) =>
  Object.values(client.node.getCoValue(id).knownState().sessions).reduce((sum, count) => sum + count, 0)
