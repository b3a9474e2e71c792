/**
 * What one check gets to work with: clients of one server, and files for their storages.
 */
import { join } from 'node:path'
import { createClients } from './clients.mjs'
import { clientStorage } from './storage.mjs'

/** `folder` is the check's own, and removed after it. */
export function createWorld(url, folder) {
  const { signUp, signIn, close } = createClients(url)
  const path = (file) => join(folder, file)
  const storageAt = Object.assign((file) => clientStorage(path(file)), { path })
  return { world: { signUp, signIn, storageAt }, close: async () => close() }
}
