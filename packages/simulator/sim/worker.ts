/**
 * A process that plays the seeds it is told, and says which failed.
 */
import { playSome } from './play.ts'

export interface Portion {
  readonly from: number
  readonly until: number
  readonly profile: string
}

process.on('message', (portion: Portion) => {
  playSome(portion.from, portion.until, portion.profile).then(
    (failed) => process.send?.({ portion, failed }),
    (cause) => {
      throw cause
    },
  )
})
