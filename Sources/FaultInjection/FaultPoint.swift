/// A place in a run where a fault can be injected, to show that nothing is lost by it.
public enum FaultPoint: String, CaseIterable, Sendable {
    /// Before a step computes its samples.
    case step
    /// Before an image is read; the step is that of the batch it is read for. With `eio` the image counts as bad.
    case data
    /// After a sample's gradient is computed; `nan` puts a NaN into it.
    case gradient
    /// Before records and gradients are exchanged.
    case exchange
    /// Before the updated parameters go to all ranks.
    case update
    /// Before an evaluation.
    case evaluation
    /// Before anything of a checkpoint is written.
    case save
    /// Before a rank's file of a checkpoint is created.
    case shardOpen = "shard-open"
    /// With half of its bytes written.
    case shardMiddle = "shard-middle"
    /// Before it is flushed to the disk.
    case shardFlush = "shard-flush"
    /// Before the manifest is created.
    case manifestOpen = "manifest-open"
    /// With half of its bytes written.
    case manifestMiddle = "manifest-middle"
    /// Before it is flushed to the disk.
    case manifestFlush = "manifest-flush"
    /// Before a finished checkpoint is renamed to its final name.
    case publish
    /// After the rename, before the hint file.
    case published
    /// With an old checkpoint renamed and not yet deleted.
    case retention
    /// Before an adapter file is created.
    case adapterOpen = "adapter-open"
    /// With half of its bytes written.
    case adapterMiddle = "adapter-middle"
    /// Before it is flushed to the disk.
    case adapterFlush = "adapter-flush"
    /// Before a checkpoint is read.
    case load

    /// The point of a moment in writing a file.
    init?(_ file: FaultFile, _ moment: FileMoment) { self.init(rawValue: "\(file.rawValue)-\(moment.rawValue)") }
}

/// The files whose writing can be made to fail.
public enum FaultFile: String, Sendable {
    case shard, manifest, adapter
}

/// The moments in writing a file.
public enum FileMoment: String, Sendable {
    case open, middle, flush
}

/// The effect of a fault at a point.
public enum FaultAction: Sendable, Equatable {
    /// The process ends as by `kill -9`.
    case kill
    /// The process stops as by `kill -STOP`.
    case stop
    /// The operation fails with an error of its own.
    case fail
    /// A number becomes NaN.
    case notANumber
    /// The thread sleeps for some seconds.
    case sleep(Double)
    /// The system call fails with this number.
    case errorNumber(Int32)
}
