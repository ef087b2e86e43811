package import Collectives
import Foundation
package import Layers
import Machine
package import SegmentAnything
package import Telemetry
import Tensors

/// The frozen weights of a run: read by rank 0 only, stored once per node, read-only afterwards.
///
/// Tensors that layers derive from the weights when they are built (folded, packed, tabulated) are stored there too, so
/// no rank has its own copy. Anchor, teacher and student of all ranks of a node read the same pages.
package struct FrozenBase {
    /// The model built on the shared block.
    package let model: SegmentAnythingModel
    /// Provides the tensors of the shared block, to build further models on it.
    package let parameters: @Sendable () -> any ParameterSource
    /// The digest of the weights, from rank 0.
    package let digest: String
    /// The placement of the weights on the nodes, for the log.
    package let placement: WeightsFact

    /// The weights, where they are read.
    package struct Source {
        /// The tensors under their official names.
        let parameters: any ParameterSource
        /// The digest of all tensors.
        let digest: String
        /// Called after the last tensor was requested; throws if one of them was not what was checked.
        let finish: () throws -> Void
    }

    /// Loads the weights on all ranks. Collective.
    ///
    /// - Parameter read: Reads the weight file; called on rank 0 only, before memory is allocated.
    ///
    /// Throws the error of `read` on rank 0, `RunError` of kind `resources` if a node lacks the memory, and
    /// `CollectivesError`.
    package init(
        _ configuration: SegmentAnythingConfiguration, _ node: NodeSettings, communicator: any Communicator,
        read: () throws -> Source
    ) throws {
        communicator.phase = "weights"
        func build(_ source: any ParameterSource) -> SegmentAnythingModel { .init(configuration, source) }
        let arena = ParameterArena { _ = build($0) }
        let weights = try communicator.isRoot ? read() : nil
        let kind: NodeSharedMemory.Kind = node.baseMemory == .window ? .window : .private
        try Self.checkRoom(arena.byteCount, kind, communicator)
        let memory = try communicator.makeNodeMemory(
            byteCount: arena.byteCount, kind: kind, temporaryFolder: node.folderForTemporaryFiles)
        let block = memory.start.assumingMemoryBound(to: Float.self)
        if let weights {
            arena.fill(block, from: weights.parameters) { _ = build($0) }
            try weights.finish()
        }
        try communicator.publish(memory)
        let sent = try communicator.broadcast(bytes: Array((weights?.digest ?? "").utf8), from: 0)
        digest = String(decoding: sent, as: UTF8.self)
        placement = try Self.placement(of: memory, kind, communicator)
        let storage = TensorStorage(borrowing: block, count: arena.floatCount) { withExtendedLifetime(memory) {} }
        parameters = { arena.parameters(in: storage) }
        model = build(parameters())
    }

    /// Stops all ranks if a node's memory, or its control group's, cannot hold the block: pages beyond a limit would
    /// kill a rank without a message.
    private static func checkRoom(
        _ byteCount: Int, _ kind: NodeSharedMemory.Kind, _ communicator: any Communicator
    ) throws {
        let needed = kind == .window ? byteCount : byteCount * communicator.ranksOnNode
        var fault = ""
        if communicator.nodeRank == 0, let free = NodeMemory.now(), free.available < needed {
            fault =
                "the frozen weights need \(needed >> 20) MiB on \(communicator.hostName), "
                + "\(free.available >> 20) MiB are free according to \(free.source)"
        }
        let faults = try communicator.allGather(bytes: Array(fault.utf8))
        if let first = faults.first(where: { !$0.isEmpty }) {
            throw RunError(
                .resources, String(decoding: first, as: UTF8.self),
                remedy: kind == .window
                    ? "give the node more memory or use a smaller model"
                    : "set node.baseMemory=window or start fewer ranks per node")
        }
    }

    /// The number of copies in memory, and the nodes that had to use a file.
    private static func placement(
        of memory: NodeSharedMemory, _ kind: NodeSharedMemory.Kind, _ communicator: any Communicator
    ) throws -> WeightsFact {
        var mine = ""
        if communicator.nodeRank == 0, case .file(let folder) = memory.placement {
            mine = "\(communicator.hostName) stores them in a file in \(folder) because /dev/shm is too small"
        }
        let notes = try communicator.allGather(bytes: Array(mine.utf8)).filter { !$0.isEmpty }
        let nodes = (communicator.nodeOfRank.max() ?? 0) + 1
        return WeightsFact(
            byteCount: memory.byteCount, copies: kind == .private ? communicator.worldSize : nodes,
            isShared: kind == .window, notes: notes.map { String(decoding: $0, as: UTF8.self) })
    }
}
