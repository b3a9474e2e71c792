/**
 * A process that plays the seeds it is told, and says which failed.
 */
import { playSome } from './play.ts'

export interface Portion {
  readonly from: number
  readonly until: number
  readonly profile: string
}

// Ctrl-C reaches the whole group; whoever gives the portions decides.
process.on('SIGINT', () => {})

process.on('message', (portion: Portion) => {
  playSome(portion.from, portion.until, portion.profile).then(
    (failed) => process.send?.({ portion, failed }),
    (cause) => {
      throw cause
    },
  )
})
