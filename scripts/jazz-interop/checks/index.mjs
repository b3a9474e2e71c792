/**
 * All checks, in the order in which they run. `restarts` need a server that can be stopped.
 */
export { restarts } from './restarts.mjs'

import { basics } from './basics.mjs'
import { forks } from './forks.mjs'
import { large } from './large.mjs'
import { permissions } from './permissions.mjs'
import { reconciling } from './reconciling.mjs'
import { reconnecting } from './reconnecting.mjs'

/** Checks of a running server of which only the URL is known. */
export const blackBox = [...basics, ...permissions, ...reconnecting, ...large, ...reconciling, ...forks]
