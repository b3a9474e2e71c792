/**
 * Accounts: which connections belong to one user, so that quotas hold for all of that user's devices and tabs together.
 */

/**
 * Equal texts and numbers are one account, and so are objects with an equal `id`; whoever has no principal, or one that does not
 * tell, is on its own.
 */
export function accountOf(principal: unknown): string | undefined {
  const id = typeof principal === 'object' && principal !== null && 'id' in principal ? principal.id : principal
  return typeof id === 'string' || typeof id === 'number' ? JSON.stringify(id) : undefined
}
