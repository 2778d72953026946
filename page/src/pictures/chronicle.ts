// What the server tells of the whole log: times, workers, the best over time, and what happened.
export interface Happening {
  number: number;
  time: number; // seconds since the study began
  kind: string;
  text: string;
  who?: string;
  trial?: number;
}

export interface Chronicle {
  workers: string[];
  hidden: number;
  jobs: {
    trial: number[];
    worker: number[];
    begin: (number | null)[];
    end: (number | null)[];
    from: number[];
    to: number[];
    how: string[];
    again: string[]; // why the trial had been put back before
  };
  best: { seconds: (number | null)[]; epochs: number[]; trial: number[]; value: (number | null)[] };
  burn: { seconds: (number | null)[]; epochs: number[] };
  finished: { seconds: (number | null)[]; trials: number[] };
  feed: Happening[];
  cursor: number;
}
