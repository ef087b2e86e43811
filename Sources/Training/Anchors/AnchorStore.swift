package import Collectives
package import Imaging
import Foundation
import Kernels
import Performance
package import Tensors

/// The anchor's embeddings of the images a node has met, for all its ranks and all epochs.
///
/// The anchor is frozen, so its embedding of a weak view is the same in every epoch. An embedding is known by a SHA-256
/// over the base weights' digest, the matrix kernels in use and the pixels of the model's input, which image, mirroring
/// and preprocessing have shaped; so what the store gives back is what the anchor would compute, bit for bit. Every
/// (image, mirroring) has a slot of its own. When the limit is reached the store keeps what it has and takes no more.
package final class AnchorStore: Sendable {
    /// The slots of one image.
    private let flips: [Flip]
    private let file: AnchorFile
    private let limit: Int
    private let shape: Shape
    private let identity: [UInt8]

    /// What a store must know of the run.
    package struct Run: Sendable {
        /// Images to adapt to.
        package var images: Int
        /// The mirrorings that can occur: all four, or one drawn per image.
        package var mirrorings: Recipe.Data.Flips
        /// Shape of an embedding.
        package var embedding: Shape
        /// Digest of the base weights.
        package var baseDigest: String

        package init(images: Int, mirrorings: Recipe.Data.Flips, embedding: Shape, baseDigest: String) {
            (self.images, self.mirrorings, self.embedding) = (images, mirrorings, embedding)
            self.baseDigest = baseDigest
        }
    }

    private init(_ file: AnchorFile, limit: Int, run: Run) {
        (self.file, self.limit, shape) = (file, limit, run.embedding)
        flips = Self.flips(run)
        identity = Self.identity(run)
    }

    private static func flips(_ run: Run) -> [Flip] { run.mirrorings == .epoch ? Flip.allCases : [] }

    private static func identity(_ run: Run) -> [UInt8] {
        Array("anchor 1\n\(run.baseDigest)\n\(BLASEnvironment.coreName)\n\(run.embedding)\n".utf8)
    }

    /// Opens this node's store on all its ranks. Collective; a node that cannot have one runs without.
    ///
    /// - Returns: The store, nil where there is none, and a line for the log.
    package static func open(
        _ settings: Recipe.AnchorStore, _ run: Run, temporaryFolder: String, communicator: any Communicator
    ) throws -> (store: AnchorStore?, line: String) {
        guard settings.mode == .on else { return (nil, "anchor store: off") }
        communicator.phase = "anchor store"
        let folder = settings.folder.isEmpty ? temporaryFolder : settings.folder
        let slots = run.images * max(flips(run).count, 1)
        let place = AnchorPlace(
            folder: folder, slots: slots, floats: run.embedding.count, limitGiB: settings.limitGiB,
            name: settings.keep
                ? "kedge-anchors-" + hexadecimal(sha256(identity(run) + Array("\(slots)".utf8))).prefix(16) : nil)
        var (opened, decision): (AnchorPlace.Opened?, AnchorPlace.Decision) = (nil, .init())
        if communicator.nodeRank == 0 { (opened, decision) = place.prepare() }
        let all = try communicator.allGather(bytes: Array(JSONEncoder().encode(decision))).map {
            try JSONDecoder().decode(AnchorPlace.Decision.self, from: Data($0))
        }
        let nodes = communicator.nodeOfRank
        let own = all[nodes.firstIndex(of: nodes[communicator.rank]) ?? 0]
        if opened == nil, own.fault.isEmpty { opened = place.attach(own) }
        // Everybody has it open now; the file vanishes with its last rank, however that ends.
        try communicator.barrier()
        if let descriptor = opened?.descriptor { close(descriptor) }
        let store = opened.map { AnchorStore($0.file, limit: own.limit, run: run) }
        return (store, line(all, nodes, communicator, slots: slots))
    }

    /// One line for all nodes; a node that differs from the first is named.
    private static func line(
        _ decisions: [AnchorPlace.Decision], _ nodes: [Int], _ communicator: any Communicator, slots: Int
    ) -> String {
        let firsts = nodes.indices.filter { nodes.firstIndex(of: nodes[$0]) == $0 }
        let texts = firsts.map { decisions[$0].text(slots: slots) }
        let others = zip(firsts, texts).dropFirst().filter { $0.1 != texts[0] }
            .map { "; on \(communicator.hostNames[$0.0]) \($0.1)" }
        return "anchor store: " + texts[0] + others.joined()
    }

    /// The key of a weak view. // [S, S, 3]
    package func key(of weak: Tensor) -> [UInt8] {
        identity.withUnsafeBytes { name in
            sha256([name, UnsafeRawBufferPointer(start: weak.pointer, count: weak.count * MemoryLayout<Float>.stride)])
        }
    }

    /// The embedding of an image's weak view, if the node has it. // [h * w, C]
    package func embedding(image: Int, flip: Flip, key: [UInt8]) -> Tensor? {
        file.read(slot(image, flip), key)?.reshaped(shape)
    }

    /// Keeps an embedding while there is room. A disk that is full before the limit is reached costs time alone.
    package func keep(_ embedding: Tensor, image: Int, flip: Flip, key: [UInt8]) {
        _ = file.write(slot(image, flip), key, embedding, limit: limit)
    }

    /// Embeddings in the node's store.
    package var count: Int { file.count }

    private func slot(_ image: Int, _ flip: Flip) -> Int {
        image * max(flips.count, 1) + (flips.firstIndex(of: flip) ?? 0)
    }
}

private func sha256(_ text: [UInt8]) -> [UInt8] { text.withUnsafeBytes { sha256([$0]) } }

private func hexadecimal(_ bytes: [UInt8]) -> String {
    bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
}
