import CheckpointStore
import Collectives
import Datasets
import Evaluation
import Foundation
import Kernels
import ModelLoading
import Recipes
import Telemetry
import Training

// The beginning and the end of a run: the lock on its folder, its data and log, its final files.

extension AdaptationRun {
    /// Rank 0's lock on the run's folder.
    struct Claim {
        let lock: RunLock?
    }

    /// Locks the folder against other runs; on rank 0. Throws `RunError` and `CheckpointError`.
    func claim(_ start: Start) throws -> Claim {
        guard communicator.isRoot else { return Claim(lock: nil) }
        // Checked before hours may be spent on automatic labels.
        func refuseOther() throws(RunError) {
            if folder.holdsRun, start.choice == nil, !start.overwriting, !folder.isUnbegun { throw folder.heldAlready }
        }
        try refuseOther()
        try folder.make()
        let claim = Claim(lock: try RunLock(folder: folder.path) { notice($0) })
        try folder.refuseLinks()
        // Again, because a run may have begun and ended while this one waited for the lock.
        try refuseOther()
        return claim
    }

    /// The images of the run, with automatic labels where the recipe requests them; nil if the run was asked to stop
    /// meanwhile.
    ///
    /// - Parameters:
    ///   - claim: Set if labels were generated: they are stored in the run's folder, which no other run may write to
    ///     meanwhile.
    ///   - refiner: The file of the refinement module, if maps are made with one.
    func openData(
        _ loaded: LoadedModel, _ start: Start, _ claim: inout Claim?, refiner: String?
    ) throws -> TrainingData? {
        guard recipe.recipe.makesLabels else {
            return try TrainingData(recipe.recipe, communicator: communicator)
        }
        if claim == nil { claim = try self.claim(start) }
        let rounds = ImageRounds(
            communicator: communicator, folder: folder.held(by: claim?.lock), isStopRequested: isStopRequested,
            notice: notice)
        let labelling = AutomaticLabelling(
            recipe: recipe.recipe, loaded: loaded, rounds: rounds, workspace: workspace,
            place: folder.products(of: recipe.recipe), refiner: refiner)
        do {
            return try TrainingData(
                recipe.recipe, communicator: communicator, labelling: { try labelling.label($0, $1, $2) })
        } catch is ImageRounds.StopRequested {
            return nil
        }
    }

    /// The run's log; the folder is created for a new run. Collective.
    func openLog(
        _ start: Start, _ resumed: CheckpointStore.Resumed?, in folder: RunFolder
    ) throws -> RunLog {
        if communicator.isRoot {
            // A run that never made a step is none: the same recipe begins it again, another one takes its place.
            let isUnbegun = resumed == nil && folder.isUnbegun
            let isReplaced = isUnbegun && (folder.holdsCheckpoints || folder.recipeText != recipe.fileText)
            try folder.create(
                recipe: recipe.fileText, overwriting: start.overwriting || isReplaced,
                resuming: resumed != nil || isUnbegun && !isReplaced)
            if isReplaced, !start.overwriting {
                notice("\(folder.path) held a run that had not made a step; this run takes its place")
            }
        }
        try communicator.barrier()
        let known = resumed?.state.scores ?? []
        let log = try RunLog(
            rank: communicator.rank, host: communicator.hostName, folder: folder.path,
            mayWrite: { folder.lock?.loss == nil }
        ) { step in
            guard let first = resumed?.state.step else { return true }
            return step < first || step == first && known.contains { $0.step == step }
        }
        watchdog?.attach(log)
        return log
    }

    /// Logs data, checkpoint and kernels, after the start record.
    func announce(
        _ data: TrainingData, _ kernels: KernelAgreement, _ resumed: CheckpointStore.Resumed?, to log: RunLog
    ) {
        log.fact(data.fact)
        if !recipe.recipe.data.sources.isEmpty {
            for part in data.training.parts {
                let scored = data.evaluation.first { $0.source == part.source }?.images.count ?? 0
                log.fact(
                    SourceFact(
                        source: part.source, domain: part.domain, trainingImages: part.images.count,
                        evaluationImages: scored))
            }
        }
        for line in data.warnings where communicator.isRoot { log.warning(line) }
        for line in data.intensityLines(recipe.recipe) where communicator.isRoot {
            if line.isWarning { log.warning(line.text) } else { log.message(.info, line.text) }
        }
        for image in data.unreadable where communicator.isRoot {
            log.warning("image \(image.id) skipped: \(image.line)")
        }
        for line in resumed?.skipped ?? [] where communicator.isRoot { log.warning("checkpoint not used: \(line)") }
        if let resumed { log.fact(ResumeFact(path: resumed.path, step: resumed.state.step)) }
        for line in [kernels.warning, kernels.difference(from: resumed?.kernels)] where communicator.isRoot {
            if let line { log.warning(line) }
        }
    }

    /// The outcome of a run that was asked to stop before its first step; there is nothing to save.
    func stopped(_ loop: TrainingLoop) -> Outcome {
        loop.context.log.message(.info, "stopped on request before the first step")
        loop.context.log.record(
            .end(
                EndRecord(
                    exitCode: .resumable, step: loop.done.steps, imagesSeen: loop.done.images, seconds: 0)))
        return Outcome(exitCode: .resumable)
    }

    /// Writes the final adapter, the table and the closing record.
    func finish(_ loop: inout TrainingLoop, _ code: ExitCode, since begin: ContinuousClock.Instant) throws -> Outcome {
        let (steps, log) = (loop.done.steps, loop.context.log)
        // A method that does not train leaves the model unchanged.
        if loop.trainer.schedule.totalSteps == 0 { loop.scores.endUnchanged() }
        // A stopped run has no final adapter, only the one of its last step.
        let file = code == .done ? folder.adapter : folder.adapter(step: steps)
        try loop.checkpoints.confirmFolder()
        let digest = communicator.isRoot ? try loop.writeAdapter(to: file) : nil
        if let digest {
            let scores = loop.scores
            if !scores.before.isEmpty, !scores.last.isEmpty, scores.last.allSatisfy({ $0.step == steps }) {
                // What the scores mean belongs beside them: the table is read long after the log.
                let notes = loop.context.data.scoreWarnings.map { "\n\n" + $0 }.joined()
                let table = EvaluationTable(before: scores.before, after: scores.last).text + notes
                try loop.context.folder.writeSummary(table)
                for line in table.split(separator: "\n") { log.message(.info, String(line)) }
            }
            log.fact(AdapterFact(path: file, digest: digest, step: steps))
        }
        log.record(
            .end(
                EndRecord(
                    exitCode: code, step: steps, imagesSeen: loop.done.images, badImages: loop.trainer.leftOut.count,
                    seconds: (ContinuousClock.now - begin) / .seconds(1))))
        return Outcome(
            exitCode: code, before: loop.scores.before, after: loop.scores.last, adapterDigest: digest)
    }
}
